"""Which pairs of vibrations heat: second-order perturbation theory (golden rule) in the coupling a.

The heating power is P = β ∫₀^∞ ⟨w(0) w(s)⟩ ds with w = y·a x (Green–Kubo; Kubo, Toda & Hashitsume, *Statistical Physics II*, Ch. 4). For harmonic modes
⟨y_i y_i(s)⟩ = k_B T cos ω_i s, ⟨x_i x_i(s)⟩ = (k_B T/ω_i²) cos ω_i s, ⟨y_i x_i(s)⟩ = (k_B T/ω_i) sin ω_i s, and Wick's theorem gives

    ⟨w(0) w(s)⟩ = ((k_B T)²/4) Σ_ij a_ij² {(1/ω_i + 1/ω_j)² cos (ω_i − ω_j)s + (1/ω_i − 1/ω_j)² cos (ω_i + ω_j)s}.

With every product of two modes damped by exp(−Γ s), ∫ exp(−Γs) cos(Δs) ds = L_Γ(Δ) = Γ/(Γ² + Δ²):

    P = (k_B T/4) Σ_ij a_ij² {(1/ω_i + 1/ω_j)² L_Γ(ω_i − ω_j) + (1/ω_i − 1/ω_j)² L_Γ(ω_i + ω_j)}.

Under white noise a mode decays as exp(−γt/2), so that Γ = γ. Only pairs with |ω_i − ω_j| ≲ Γ heat, weighted by 1/ω².
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncbench.prediction.harmonic import FloatArray, HarmonicModel


def pair_weights(omega: FloatArray, width: float) -> FloatArray:
    """[n, n]: P_ij/(k_B T a_ij²), internal units; ``width`` is Γ."""
    inverse = 1.0 / omega
    difference, total = omega[:, None] - omega[None], omega[:, None] + omega[None]
    resonant = (inverse[:, None] + inverse[None]) ** 2 * width / (width**2 + difference**2)
    other = (inverse[:, None] - inverse[None]) ** 2 * width / (width**2 + total**2)
    weights: FloatArray = 0.25 * (resonant + other)
    return weights


def pair_powers(model: HarmonicModel, width: float, thermal_energy: float) -> FloatArray:
    """[n, n]: the power of each ordered pair of modes, eV in the internal unit of time; its sum is P.

    Args:
        model: modes and coupling.
        width: Γ, internal unit of 1/time.
        thermal_energy: k_B T, eV.
    """
    return thermal_energy * model.coupling**2 * pair_weights(model.omega, width)


def window_powers(model: HarmonicModel, windows: FloatArray, thermal_energy: float) -> FloatArray:
    """[W]: ⟨W(t)²⟩/(2 k_B T t) of undamped harmonic modes, W the work in a window t, eV in the internal unit of time.

    ⟨W²⟩ = 2 ∫₀ᵗ (t − s) ⟨w(0) w(s)⟩ ds, and ∫₀ᵗ (t − s) cos Δs ds = (1 − cos Δt)/Δ²: the golden rule with (1 − cos Δt)/(Δ² t) in place of L_Γ(Δ).

    Args:
        model: modes and coupling.
        windows: [W], t, internal unit, positive.
        thermal_energy: k_B T, eV.
    """
    coupling = thermal_energy * model.coupling**2
    return np.array([np.sum(coupling * window_weights(model.omega, t)) for t in windows])


def window_weights(omega: FloatArray, window: float) -> FloatArray:
    """[n, n]: the weights of :func:`pair_weights` for the mean over a window t of undamped modes, internal units.

    Args:
        omega: [n], ω, internal unit of 1/time.
        window: t, internal unit.
    """
    inverse = 1.0 / omega
    sums, differences = (inverse[:, None] + inverse) ** 2, (inverse[:, None] - inverse) ** 2
    slow, fast = omega[:, None] - omega, omega[:, None] + omega
    # 1 − cos x = x²/2 sinc²(x/2), which holds for resonant pairs too; np.sinc(x) is sin(πx)/(πx).
    resonant = sums * np.sinc(slow * window / 2 / np.pi) ** 2
    other = differences * np.sinc(fast * window / 2 / np.pi) ** 2
    weights: FloatArray = 0.125 * window * (resonant + other)
    return weights


def power_of_noise(model: HarmonicModel, noise: float, width: float, thermal_energy: float) -> float:
    """The power that numerical errors of the Jacobian give for conservative forces, eV in the internal unit of time.

    Entries of J with independent errors σ give A = (J − Jᵀ)/2 the covariance ⟨A_kl A_k'l'⟩ = (σ²/2)(δ_kk' δ_ll' − δ_kl' δ_lk'), and a_ij in the
    modes V the variance (σ²/2)(S_ii S_jj − S_ij²), S = Vᵀ M⁻¹ V.

    Args:
        model: the modes.
        noise: σ, eV/Å².
        width: Γ, internal unit of 1/time.
        thermal_energy: k_B T, eV.
    """
    overlap = (model.modes.T / np.repeat(model.masses, 3)) @ model.modes
    softness = np.diag(overlap)
    variance = 0.5 * noise**2 * (np.outer(softness, softness) - overlap**2)
    return float(thermal_energy * np.sum(variance * pair_weights(model.omega, width)))


@dataclass(frozen=True)
class HeatingMap:
    """Shares of the power by the frequencies of the two modes."""

    edges_per_cm: FloatArray
    """[bins + 1], cm⁻¹."""
    share: FloatArray
    """[bins, bins], symmetric, sum 1 (0 for a field without coupling)."""
    power: FloatArray
    """[bins, bins], eV in the internal unit of time."""
    norm_share: FloatArray
    """[bins, bins]: share of ‖a‖², which λ would weight equally."""


BIN_PER_CM = 200.0
"""Width of the bins of the map: that of the bands of a molecular liquid."""


def heating_map(
    model: HarmonicModel, width: float, thermal_energy: float, *, bin_per_cm: float = BIN_PER_CM
) -> HeatingMap:
    """Sum :func:`pair_powers` over bins of the two frequencies. Arguments are those of :func:`pair_powers`."""
    powers = pair_powers(model, width, thermal_energy)
    count = int(model.wavenumbers.max() // bin_per_cm) + 1
    members = np.zeros((count, len(model.omega)))
    members[(model.wavenumbers // bin_per_cm).astype(int), np.arange(len(model.omega))] = 1.0
    power: FloatArray = members @ powers @ members.T
    norms: FloatArray = members @ model.coupling**2 @ members.T
    edges: FloatArray = bin_per_cm * np.arange(count + 1, dtype=np.float64)
    return HeatingMap(edges, _shares(power), power, _shares(norms))


def _shares(values: FloatArray) -> FloatArray:
    total = float(values.sum())
    return values / total if total > 0 else values
