"""Predicted heating as a Python function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ncbench.api.any_model import forcefield_of, nothing_changed
from ncbench.api.arguments import checked
from ncbench.errors import UsageError, with_article
from ncbench.prediction.heating import Sensitivity, Thermostat, predict_with_sensitivity
from ncbench.prediction.memory import require_memory
from ncbench.prediction.quench import Quench, force_jacobian, quench
from ncbench.prediction.settings import PredictSettings


@dataclass(frozen=True)
class HeatingResult:
    """Predicted heating of one structure; see :mod:`ncbench.prediction`."""

    details: Sensitivity
    """Every number at every frequency floor, with the heating map; ``details.default`` is the prediction at the requested floor."""
    quench: Quench
    """The minimum, and what led there."""

    @property
    def nve_power(self) -> dict[float, float]:
        """Time in fs → mean heating at constant energy over it, meV/atom/ps."""
        return self.details.default.nve_power

    @property
    def longest_stable_tau_fs(self) -> float | None:
        """Time constant of white noise above which the harmonic motion runs away, fs; ``None`` where there is none."""
        return self.details.default.longest_stable_tau_fs

    def power(self, thermostat: str) -> float | None:
        """Heat that the thermostat removes, meV/atom/ps; ``None`` for a runaway. Raises KeyError if it was not requested."""
        return self.details.default.under(thermostat).power

    def temperature(self, thermostat: str, species: str = "all") -> float | None:
        """Kinetic temperature under a thermostat, K; ``None`` for a runaway.

        Args:
            thermostat: as it was requested.
            species: an element, or ``all`` atoms.

        Raises:
            KeyError: that thermostat was not requested, or there is no such element.
        """
        temperatures = self.details.default.under(thermostat).temperature_K
        return None if temperatures is None else temperatures[species]


@checked
def predict_heating(
    calculator_or_model: object,
    atoms: Atoms,
    *,
    reference: object | None = None,
    thermostats: Sequence[str] = ("langevin:10", "langevin:100", "langevin:1000", "gle"),
    temperature_K: float = 300.0,
    floor_per_cm: float = 50.0,
    quench_fmax: float = 0.02,
    quench_steps: int = 200,
    seed: int = 0,
    device: str | None = None,
    dtype: str | None = None,
) -> HeatingResult:
    """Heating by the antisymmetric part of the force Jacobian J [3N, 3N] at a minimum, without running the hot dynamics.

    Powers are in meV/atom/ps, temperatures in K. The stationary state of the linear dynamics is derived in :mod:`ncbench.prediction.covariance`.

    Args:
        calculator_or_model: as for :func:`lambda_of`.
        atoms: N atoms, at least two.
        reference: a conservative model to quench with, given in the same ways; by default the model's own conservative forces, or its own.
        thermostats: ``langevin:TAU`` (τ in fs), ``gle``, ``gle:FILE``.
        temperature_K: of thermostats and starts, K.
        floor_per_cm: least frequency of a vibration, cm⁻¹.
        quench_fmax: largest force at which the quench ends, eV/Å.
        quench_steps: most steps of the quench; 0 takes the structure as it is.
        seed: of the checks of the Jacobian.
        device: as for :func:`lambda_of`.
        dtype: as for :func:`lambda_of`.

    Raises:
        UsageError: a thermostat that is not known or has no linear theory; a request that cannot be met.
        StructureError: a structure no model could evaluate.
        UnsupportedError: a single atom, an element the model does not know, a quench that diverges, forces that are not finite, a structure
            too large for the memory that is free.
    """
    if not isinstance(atoms, Atoms):
        raise UsageError(f"atoms is an ase.Atoms, not {with_article(type(atoms).__name__)}.")
    # The ranges of the command's options.
    PredictSettings(
        thermostats=tuple(thermostats),
        temperature_K=temperature_K,
        floor_per_cm=floor_per_cm,
        quench_fmax=quench_fmax,
        quench_steps=quench_steps,
    )
    asked = [Thermostat.parse(text) for text in thermostats]
    with nothing_changed(calculator_or_model):
        forcefield = forcefield_of(calculator_or_model, atoms, device=device, dtype=dtype)
        partner = None if reference is None else forcefield_of(reference, atoms, device=device, dtype=dtype)
        forcefield.check([atoms])
        require_memory(len(atoms), asked)
        rested = quench(forcefield, partner, atoms, fmax=quench_fmax, steps=quench_steps)
        jacobian = force_jacobian(forcefield, rested.atoms, rng=np.random.default_rng(seed))
    details = predict_with_sensitivity(
        jacobian.matrix,
        jacobian.noise,
        rested.atoms.get_masses(),
        rested.atoms.get_chemical_symbols(),
        temperature_K=temperature_K,
        thermostats=asked,
        floor_per_cm=floor_per_cm,
    )
    return HeatingResult(details, rested)
