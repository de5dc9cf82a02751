"""Theoretical lower bounds of errors: of a mean kinetic temperature under a thermostat, and of a heating power.

**Temperature.** A thermostat exchanges energy with the total energy E = K + U, which relaxes slowly; vibrations share it between K and U at
once. For quadratic degrees of freedom Var K = n_dof (k_B T)²/2 = Var U and Var E = n_dof (k_B T)². On time scales longer than a vibration
K contains half of a fluctuation of E, so that the slow part of T = 2K/(n_dof k_B) is E/(n_dof k_B), of variance T²/n_dof and correlation e^(−t/τ_E),
whose mean over a run of length t has the variance (T²/n_dof) g(t/τ_E), g(u) = 2(u − 1 + e^(−u))/u². The fast half of Var T = 2T²/n_dof averages out
within vibrations and is added.

Langevin with friction 1/τ on every momentum: dE/dt = −(2K − n_dof k_B T)/τ + noise, and K = E/2 gives τ_E = τ. Long runs: 2T²τ/(n_dof t), which is exact for a
harmonic mode of any frequency, overdamped ones included, since ∫ c_vv² dt = τ/2 whatever the frequency. Stochastic velocity rescaling relaxes K in τ:
dE/dt = −(K − K̄)/τ gives τ_E = 2τ. Andersen collisions with the mean time τ between those of an atom have the same law and τ_E = 2τ, which is again exact for a
harmonic mode of any frequency: its second moments obey linear equations, in which ∫⟨δK(0)δK(t)⟩ dt = τ Var K.

A Nosé–Hoover chain is deterministic; its first equation gives the mean of 2K − n_dof k_B T as the mean of v_2 p_1 (p_1 = Q_1 v_1, v_2 the next variable's velocity), but for
a difference of p_1 over t. Canonical values of these, ⟨p_1²⟩⟨v_2²⟩ = n_dof (k_B T)², that persist for τ, give 2T²τ/(n_dof t): Langevin's law with τ_E = τ. An estimate and no
closed form; simulated 5 ps means of 72 modes, uncoupled or weakly coupled, scatter by 0.8 to 1.2 times as much (τ = 20 to 100 fs). Without it, a chain that moves little in one run
would show too small an error. E oscillates with the period 2πτ; a run is compared with twice that time.

**Species.** Energy differences between species relax through anharmonic coupling, in τ_x = 0.5 ps in liquid water (assumed for all systems), helped by a
thermostat that acts on every momentum, 1/τ_s = 1/τ_E + 1/τ_x, but not by one that scales all momenta equally (svr, nhc), τ_s = τ_x. The shared part keeps the
variance of the whole: σ² = T² [g(t/τ_E)/n_dof + (1/n_s − 1/n_dof) g(t/τ_s)].

**Power.** Non-conservative forces that heat at the power P do work that fluctuates: Var[∫w dt] = 2 k_B T P t (Green-Kubo), hence σ_P = √(2 k_B T P/t). P is
extensive: for p = P/N per atom, σ_p = √(2 k_B T p/(N t)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ncbench.units import KB, MEV

SPECIES_EXCHANGE_FS = 500.0
"""τ_x: time in which species of a liquid exchange kinetic energy."""


def relaxed_share(u: float) -> float:
    """g(u) = 2(u − 1 + e^(−u))/u²: variance of the mean over u correlation times of e^(−t), over the variance of one value."""
    if u < 0.0:
        raise ValueError(f"u is {u}; a run's length over a relaxation time is not negative.")
    if u < 1e-3:
        # Series: cancellation would lose more digits than the omitted terms, u³/60.
        return 1.0 - u / 3.0 + u * u / 12.0
    if math.isinf(u):
        return 0.0
    return 2.0 * (u + math.expm1(-u)) / (u * u)


@dataclass(frozen=True)
class Relaxation:
    """Relaxation times of a kinetic temperature."""

    total_fs: float
    """τ_E of the whole; infinite without a thermostat."""
    species_fs: float
    """τ_s of a species against the others."""
    period_fs: float = 0.0
    """Period of an oscillation of E under the thermostat; zero without one."""

    def slowest_fs(self, *, whole: bool) -> float:
        """The slowest of them; a run must be at least twenty times longer."""
        # Two periods: of 104 runs of 25 periods whose error passed as known 0.87 covered, of 82 of 51 periods 0.91 (harmonic crystal, τ = 50 fs).
        total_fs = max(self.total_fs, 2.0 * self.period_fs)
        return total_fs if whole else max(total_fs, self.species_fs)


SOFT_MODE_PER_FS = 2.0 * math.pi * 0.8e-3
"""ω of 0.8 THz (27/cm), assumed for all systems: the slowest mode that does work. It is below the intermolecular band of molecular liquids, from 40/cm, since a
curl slows a mode: two thirds of the curl at which a mode becomes unstable under a strong friction by a third."""


def power_memory_ps(thermostat: str, tau_fs: float | None) -> float:
    """Time, ps, in which the power of non-conservative forces forgets, under a thermostat.

    A power is quadratic in displacements. Anharmonic coupling forgets them in :data:`SPECIES_EXCHANGE_FS`; friction γ = 1/τ on every
    momentum slows an overdamped mode of frequency ω, whose amplitude decays at λ = γ/2 − √(γ²/4 − ω²) and its square in 1/(2λ) ≈ γ/(2ω²): for
    :data:`SOFT_MODE_PER_FS` 2.0 ps at τ = 10 fs, and less than the coupling's from 38 fs on. Other thermostats do not act on displacements.
    """
    memory_fs = SPECIES_EXCHANGE_FS
    if thermostat in _ON_EVERY_MOMENTUM and tau_fs is not None and tau_fs < 0.5 / SOFT_MODE_PER_FS:
        half = 0.5 / tau_fs
        # ω²/(γ/2 + √…) is γ/2 − √… without the loss of digits at strong friction.
        rate = SOFT_MODE_PER_FS**2 / (half + math.sqrt(half * half - SOFT_MODE_PER_FS**2))
        memory_fs = max(memory_fs, 0.5 / rate)
    return memory_fs / 1000.0


ENERGY_RELAXATION = {"langevin": 1.0, "svr": 2.0, "andersen": 2.0}
"""τ_E/τ of thermostats that remove, on average, the power (E − Ē)/τ_E where E = 2K: those whose power gives the temperature."""
_ON_EVERY_MOMENTUM = ("langevin", "andersen")


def relaxation(thermostat: str | None, tau_fs: float | None, *, exchange_fs: float = SPECIES_EXCHANGE_FS) -> Relaxation:
    """Relaxation times under ``langevin``, ``svr``, ``andersen`` or ``nhc`` of time constant τ, or without a thermostat (``None``).

    Any other thermostat, such as ``gle``, has no closed form: ``tau_fs`` is then used as the relaxation time of the total energy,
    and ``exchange_fs`` if it is ``None``.

    Raises:
        ValueError: a τ that is not positive.
    """
    if tau_fs is not None and not tau_fs > 0.0:
        raise ValueError(f"τ is {tau_fs} fs; it must be positive.")
    if thermostat is None:
        return Relaxation(math.inf, exchange_fs)
    if thermostat in ENERGY_RELAXATION and tau_fs is not None:
        total_fs = ENERGY_RELAXATION[thermostat] * tau_fs
        helped = thermostat in _ON_EVERY_MOMENTUM
        return Relaxation(total_fs, 1.0 / (1.0 / total_fs + 1.0 / exchange_fs) if helped else exchange_fs)
    if thermostat == "nhc" and tau_fs is not None:
        return Relaxation(tau_fs, exchange_fs, period_fs=2.0 * math.pi * tau_fs)
    return Relaxation(exchange_fs if tau_fs is None else tau_fs, exchange_fs)


def temperature_error(
    temperature_K: float, duration_fs: float, times: Relaxation, *, n_dof: float, n_dof_total: float | None = None
) -> float:
    """Least standard error, K, that the mean kinetic temperature of a run can have.

    Args:
        temperature_K: T.
        duration_fs: averaging time t.
        times: see :func:`relaxation`.
        n_dof: degrees of freedom of these atoms.
        n_dof_total: of all atoms, if these are one species.
    """
    if not (n_dof > 0.0 and duration_fs >= 0.0):
        return math.nan
    total = n_dof if n_dof_total is None else max(n_dof_total, n_dof)
    variance = relaxed_share(duration_fs / times.total_fs) / total
    variance += (1.0 / n_dof - 1.0 / total) * relaxed_share(duration_fs / times.species_fs)
    return temperature_K * math.sqrt(variance)


def power_error(power: float, temperature_K: float, duration_ps: float, n_atoms: int) -> float:
    """Least standard error, meV/atom/ps, of a heating power measured over a run: √(2 k_B T p/(N t)).

    Args:
        power: p, meV/atom/ps; its sign does not matter (a power that came out negative is within its error of zero).
        temperature_K: T.
        duration_ps: t.
        n_atoms: N.
    """
    if not (duration_ps > 0.0 and n_atoms > 0):
        return math.nan
    return math.sqrt(2.0 * KB / MEV * temperature_K * abs(power) / (n_atoms * duration_ps))


def temperature_slope_error(temperature_K: float, duration_ps: float, n_dof: float) -> float:
    """Least standard error, K/ps, of a slope of the kinetic temperature at constant energy: √(12/5) T/(√n t).

    Kinetic and potential energy exchange over times that a run cannot tell from a drift where they are as long as the run: a liquid that relaxes warms
    at constant energy. The slow part of the temperature has a variance of at most T²/n in equilibrium (half of the canonical one, the share that
    :func:`temperature_error` has as well), and a walk with the increments of such a process, of variance 2T²/n over the run, has least-squares slopes
    of 6/5 of that variance over t².

    Args:
        temperature_K: T.
        duration_ps: t.
        n_dof: n, degrees of freedom of these atoms.
    """
    if not (n_dof > 0.0 and duration_ps > 0.0):
        return math.nan
    return math.sqrt(2.4 / n_dof) * temperature_K / duration_ps
