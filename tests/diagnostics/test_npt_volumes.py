"""Constant pressure against an equation of state: a harmonic crystal with an additional energy of the cell.

E = Σ k u²/2 + B (V − V₀)²/2V₀, with displacements u from sites that are fixed fractions of the cell. The integral over u does not see the cell, so that
p(V) ~ exp(−(E_cell + P V)/k_B T): a Gaussian about V₀ (1 − P/B) with the variance k_B T V₀/B, B being the bulk modulus.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from known_fields import card
from scipy import integrate

from ncbench.diagnostics.base import Context
from ncbench.diagnostics.npt import NptSettings, run
from ncbench.models.ase_adapter import ASEForceField
from ncbench.statistics.series import blocking_mean
from ncbench.types import Case
from ncbench.units import GPA, KB

pytest.importorskip("ipi")
pytestmark = [
    # i-PI calls names that Python is about to drop, and leaves files to the garbage collector.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

T, LENGTH = 300.0, 10.0
"""K; Å, of the cell without pressure."""
BULK_GPa = 2.0
SIGMAS = 4.5
"""Exceeded by one Gaussian number in 150 000."""


class Crystal(Calculator):
    """The field above; the array ``fractions`` holds the sites."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012  # ASE's own spelling

    def __init__(self, *, k: float, bulk_GPa: float, length: float) -> None:
        Calculator.__init__(self)
        self.k, self.bulk, self.volume = k, bulk_GPa * GPA, length**3

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        Calculator.calculate(self, atoms, properties, system_changes)
        current: Any = self.atoms
        sites = current.arrays["fractions"] @ current.cell.array
        u, volume = current.positions - sites, current.get_volume()
        energy = 0.5 * self.k * np.sum(u**2) + 0.5 * self.bulk * (volume - self.volume) ** 2 / self.volume
        # Sites and atoms are strained together: u grows by ε u, V by V tr ε.
        stress = self.k * u.T @ u / volume + self.bulk * (volume / self.volume - 1.0) * np.eye(3)
        self.results = {
            "energy": float(energy),
            "free_energy": float(energy),
            "forces": -self.k * u,
            "stress": stress.flat[[0, 4, 8, 5, 2, 1]],
        }


def crystal(**changes: float) -> ASEForceField:
    values = {"k": 1.0, "bulk_GPa": BULK_GPa, "length": LENGTH} | changes
    return ASEForceField(Crystal(**values), card("crystal", has_stress=True, has_energy=True))


def case() -> Case:
    fractions = np.stack(np.meshgrid(*3 * [[0.25, 0.75]]), axis=-1).reshape(-1, 3)
    atoms = Atoms("Ar8", positions=LENGTH * fractions, cell=3 * [LENGTH], pbc=True)
    atoms.set_array("fractions", fractions)
    return Case("crystal", atoms)


def measured(forcefield: ASEForceField, context: Context, **settings: Any) -> tuple[dict[str, Any], np.ndarray]:
    """The row, and the sampled volumes, Å³."""
    wanted = NptSettings(
        temperature_K=T, thermostat="langevin:100", barostat_tau_fs=100.0, timestep_fs=2.0, equilibration_fs=400.0, sample_every=1
    )  # fmt: skip
    outcome = run(forcefield, [case()], replace(wanted, **settings), seed=5, context=context)
    lengths = [s["cell_length_A"] for s in outcome.side["series"] if s["time_fs"] >= wanted.equilibration_fs]
    return outcome.rows[0], np.array(lengths) ** 3


def mean_holds(volumes: np.ndarray, pressure_GPa: float) -> float:
    """Returns what the mean volume should be, Å³."""
    expected = LENGTH**3 * (1.0 - pressure_GPa / BULK_GPa)
    mean = blocking_mean(volumes)
    assert abs(mean.value - expected) < SIGMAS * mean.error
    # Any wrong sign, unit or field would shift it by a tenth at least.
    assert mean.error < 0.01 * LENGTH**3
    return expected


def holds(row: dict[str, Any], volumes: np.ndarray, pressure_GPa: float) -> None:
    expected = mean_holds(volumes, pressure_GPa)
    variance = KB * T * LENGTH**3 / (BULK_GPa * GPA)
    squares = blocking_mean((volumes - expected) ** 2)
    assert abs(squares.value - variance) < SIGMAS * squares.error
    assert squares.error < 0.25 * variance

    def density(v: float) -> float:
        return float(np.exp(-((v - expected) ** 2) / (2.0 * variance)))

    around = expected + 8.0 * np.sqrt(variance) * np.array([-1.0, 1.0])
    norm, moment = (integrate.quad(lambda v, p=p: density(v) * v**p, *around)[0] for p in (0.0, 1.0 / 3.0))
    assert abs(row["cell_length_A"] - moment / norm) < SIGMAS * row["cell_length_A_se"]
    assert abs(row["temperature_K"] - T) < SIGMAS * row["temperature_K_se"]


def test_pressure_compresses_by_the_bulk_modulus(context: Context) -> None:
    _, volumes = measured(crystal(), context, pressure_GPa=0.4, duration_fs=1400.0)
    mean_holds(volumes, 0.4)


@pytest.mark.slow
@pytest.mark.parametrize("pressure_GPa", [0.4, -0.2])
def test_a_crystal_has_the_volume_of_its_equation_of_state(context: Context, pressure_GPa: float) -> None:
    row, volumes = measured(crystal(), context, pressure_GPa=pressure_GPa, duration_fs=7600.0)
    holds(row, volumes, pressure_GPa)


@pytest.mark.slow
def test_multiple_time_stepping_has_the_volume_of_the_slow_field(context: Context) -> None:
    # Under this pressure the fast field alone has 943 Å³, and the slow one 850.
    context = replace(context, reference=crystal())
    cheap = crystal(k=0.8, bulk_GPa=0.7 * BULK_GPa, length=1.2 ** (1 / 3) * LENGTH)
    row, volumes = measured(cheap, context, mts=4, pressure_GPa=0.3, duration_fs=14_000.0)
    assert (row["stress_from"], row["stride"]) == ("mts", 4)
    holds(row, volumes, 0.3)
