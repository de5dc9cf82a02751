"""A structure as a set of harmonic modes driven by the antisymmetric part of its force Jacobian.

About a minimum the forces are f = J (r − r₀), J = ∂f/∂r. In mass-weighted coordinates x = M^½ (r − r₀), y = M^½ v the motion is

    ẋ = y,    ẏ = −B x,    B = −M^(−½) J M^(−½) = D − a,

with D = Dᵀ the dynamical matrix of the symmetric part and a = −aᵀ the mass-weighted antisymmetric part, which does the work y·a x. Translations
are projected out, as the integrators do (``fix_com``), except for those that something outside of the structure holds
(:func:`held_translations`). In the eigenmodes of D, with frequencies ω_i, B = diag(ω_i²) − a.

A harmonic theory has no answer for modes that are unstable or almost free: their amplitude would be infinite. Their frequency is set to at
least a floor; how much the results depend on it is part of every prediction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ncbench.errors import UnsupportedError, UsageError
from ncbench.units import WAVENUMBER

FloatArray = NDArray[np.float64]
Imaginary = Literal["absolute", "floor"]
"""Treatment of a mode with ω² < 0: its frequency is √|ω²|, or the floor."""


@dataclass(frozen=True)
class HarmonicModel:
    """Modes of a structure and the antisymmetric coupling between them."""

    omega: FloatArray
    """[n], n = 3N − 3 plus the number of held translations, ascending: ω_i, internal unit of 1/time, floored."""
    coupling: FloatArray
    """[n, n]: a in the modes, internal unit of 1/time²; a_ij = −a_ji."""
    modes: FloatArray
    """[3N, n]: orthonormal mass-weighted eigenvectors, one a column."""
    masses: FloatArray
    """[N], u."""
    n_imaginary: int
    """Modes with ω² < 0."""
    n_floored: int
    """Modes whose frequency was raised to the floor."""

    @property
    def n_atoms(self) -> int:
        """N."""
        return len(self.masses)

    @property
    def drift(self) -> FloatArray:
        """[n, n]: B = diag(ω²) − a."""
        return np.diag(self.omega**2) - self.coupling

    @property
    def wavenumbers(self) -> FloatArray:
        """[n]: ω_i, cm⁻¹."""
        return self.omega / WAVENUMBER

    def with_coupling(self, scale: float) -> HarmonicModel:
        """The same modes with a multiplied by ``scale``: a field that is blended with its own conservative part."""
        return HarmonicModel(
            self.omega, scale * self.coupling, self.modes, self.masses, self.n_imaginary, self.n_floored
        )


def centre_of_mass_basis(masses: FloatArray) -> FloatArray:
    """[3N, 3N − 3] orthonormal basis of the mass-weighted displacements that leave the centre of mass at rest.

    They are orthogonal to the three translations (√m_1, √m_2, …)/√M along x, y, z: a Householder reflection maps the first axis on that
    unit vector, and its other columns are the basis.
    """
    direction = np.sqrt(masses / masses.sum())
    reflected = direction.copy()
    reflected[0] += 1.0 if direction[0] >= 0 else -1.0
    householder = np.eye(len(masses)) - 2.0 * np.outer(reflected, reflected) / (reflected @ reflected)
    return np.kron(householder[:, 1:], np.eye(3))


FREE_BELOW_PER_CM = 50.0
"""A rigid translation of a lower frequency than this is free, cm⁻¹: rounding of a float32 Jacobian gives some 10 cm⁻¹ to that of 64 molecules."""


def held_translations(jacobian: FloatArray, masses: FloatArray) -> FloatArray:
    """[3, h]: orthonormal directions, as columns, along which a rigid translation meets a restoring force, such as site springs or a wall.

    Along the mass-weighted unit vectors T [3N, 3] of the translations, ω² are the eigenvalues of Tᵀ D T; a translation is free below
    :data:`FREE_BELOW_PER_CM`. A model whose forces depend on relative positions alone has J T = 0.

    Args:
        jacobian: J [3N, 3N], eV/Å², row = force component.
        masses: [N], u.
    """
    rigid = np.kron(np.ones((len(masses), 1)), np.eye(3)) / math.sqrt(masses.sum())
    return held_directions(-rigid.T @ jacobian @ rigid)


def held_directions(stiffness: FloatArray) -> FloatArray:
    """[3, h] of :func:`held_translations` from Tᵀ D T [3, 3], internal unit of 1/time²."""
    squared, directions = eigh((stiffness + stiffness.T) / 2)
    held: FloatArray = directions[:, np.sqrt(np.abs(squared)) > FREE_BELOW_PER_CM * WAVENUMBER]
    return held


def harmonic_model(
    jacobian: FloatArray,
    masses: FloatArray,
    *,
    floor_per_cm: float = 50.0,
    imaginary: Imaginary = "absolute",
    held: FloatArray | None = None,
) -> HarmonicModel:
    """Modes and coupling from a force Jacobian.

    Args:
        jacobian: J [3N, 3N], eV/Å², row = force component.
        masses: [N], u.
        floor_per_cm: least frequency, cm⁻¹; positive, since a free mode has no stationary amplitude.
        imaginary: frequency given to an unstable mode before the floor is applied.
        held: [3, h], translations that are modes like the others (:func:`held_translations`); by default all three are projected out.

    Raises:
        UsageError: a floor that is not positive.
        UnsupportedError: a Jacobian that is not finite, or a single atom.
    """
    if not (math.isfinite(floor_per_cm) and floor_per_cm > 0):
        raise UsageError(f"The frequency floor is {floor_per_cm} cm⁻¹; it must be positive and finite.")
    if not np.isfinite(jacobian).all():
        raise UnsupportedError("The force Jacobian has entries that are not finite numbers.")
    if len(masses) < 2:
        raise UnsupportedError("A single atom with its centre of mass at rest has no vibrations.")
    roots = np.sqrt(np.repeat(masses, 3))
    basis = centre_of_mass_basis(masses)
    if held is not None:
        basis = np.hstack([basis, np.kron(np.sqrt(masses / masses.sum())[:, None], held)])
    weighted = basis.T @ (jacobian / np.outer(roots, roots)) @ basis
    squared, vectors = eigh(-(weighted + weighted.T) / 2)
    floor = floor_per_cm * WAVENUMBER
    frequency = np.sqrt(np.abs(squared))
    if imaginary == "floor":
        frequency[squared < 0] = 0.0
    floored = frequency < floor
    omega = np.maximum(frequency, floor)
    order = np.argsort(omega, kind="stable")
    vectors = vectors[:, order]
    return HarmonicModel(
        omega=omega[order],
        coupling=vectors.T @ ((weighted - weighted.T) / 2) @ vectors,
        modes=basis @ vectors,
        masses=np.asarray(masses, dtype=np.float64),
        n_imaginary=int((squared < 0).sum()),
        n_floored=int(floored.sum()),
    )


def group_temperatures(model: HarmonicModel, momenta: FloatArray, groups: FloatArray, boltzmann: float) -> FloatArray:
    """Kinetic temperatures of groups of atoms, K, from the covariance of mass-weighted velocities.

    T_g = Σ_(i in g) ⟨y_i²⟩ / (n_g k_B), with n_g the trace of the modes' projector over the group, 3N_g − 3M_g/M without
    translations.

    Args:
        model: the modes.
        momenta: [n, n], ⟨y yᵀ⟩ in the modes, eV.
        groups: [G, N], 1 where the atom belongs to the group.
        boltzmann: k_B, eV/K.
    """
    variances = np.einsum("in,nm,im->i", model.modes, momenta, model.modes, optimize=True)
    per_atom = variances.reshape(-1, 3).sum(axis=1)
    degrees = groups @ np.square(model.modes).sum(axis=1).reshape(-1, 3).sum(axis=1)
    temperatures: FloatArray = groups @ per_atom / (degrees * boltzmann)
    return temperatures
