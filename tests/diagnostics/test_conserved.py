"""Conserved quantities of a crystal in every ensemble, and temperatures of a fast bond under a thermostat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from known_fields import WellField
from scipy import linalg

from ncbench.diagnostics import nve_drift, nvt
from ncbench.diagnostics.nve_drift import NveDriftSettings
from ncbench.diagnostics.nvt import NvtSettings
from ncbench.md.integrators import Dynamics
from ncbench.md.state import MDState, Particles
from ncbench.md.thermostats import Langevin
from ncbench.models.interface import FieldOutput
from ncbench.models.loading import load_forcefield
from ncbench.structures.load import load_cases
from ncbench.types import Case, ModelRequest
from ncbench.units import FS, KB

LIMIT = 1e-3
"""meV/atom/ps."""


def load(name: str):
    return load_forcefield(ModelRequest(spec=name, dtype="float64"))


def crystal() -> list[Case]:
    from ncbench.types import SystemRequest

    return load_cases(SystemRequest(name="harmonic-crystal", structures=1), 1, 0)


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("analytic-harmonic", {}),
        ("analytic-harmonic", {"rescale": True}),
        # Fast forces with a curl, corrected every fourth step: the energy of the slow forces is conserved.
        ("analytic-solenoidal", {"mts": 4}),
    ],
    ids=["verlet", "rescaled", "mts"],
)
def test_the_energy_of_a_crystal_does_not_drift(model, more, context):
    context.reference = load("analytic-harmonic")
    settings = NveDriftSettings(duration_fs=1500.0, redraw_momenta=True, **more)
    (row,) = nve_drift.run(load(model), crystal(), settings, seed=0, context=context).rows
    for name in ("energy_drift", *(["power"] if "rescale" in more else [])):
        assert abs(row[f"{name}_meV_per_atom_per_ps"]) < LIMIT
        assert row[f"{name}_meV_per_atom_per_ps_se"] < LIMIT / 3


@pytest.mark.parametrize("stride", [None, 4])
@pytest.mark.parametrize("thermostat", ["langevin:100", "svr:20", "gle"])
def test_energy_minus_thermostat_heat_does_not_drift(thermostat, stride, context):
    context.reference = load("analytic-harmonic")
    model = load("analytic-harmonic" if stride is None else "analytic-solenoidal")
    settings = NvtSettings(
        thermostats=(thermostat,), equilibration_fs=100.0, duration_fs=1500.0, redraw_momenta=True, mts=stride
    )
    row = nvt.run(model, crystal(), settings, seed=0, context=context).rows[0]
    assert abs(row["power_meV_per_atom_per_ps"]) < LIMIT
    # A resolved drift of the integrator, also a small one, counts as heating, which fluctuates as √(2 k_B T P/(N t)).
    result = abs(row["power_meV_per_atom_per_ps"])
    floor = (2e3 * KB * 300.0 * result / (row["n_atoms"] * 1.5)) ** 0.5
    assert row["power_meV_per_atom_per_ps_se"] < max(LIMIT, 2.5 * floor)


def test_a_solenoidal_crystal_drifts_far_above_the_limit(context):
    """The same crystal with a curl: three orders of magnitude above the limit."""
    settings = NveDriftSettings(duration_fs=1500.0, redraw_momenta=True)
    (row,) = nve_drift.run(load("analytic-solenoidal"), crystal(), settings, seed=0, context=context).rows
    assert row["energy_drift_meV_per_atom_per_ps"] > 300 * LIMIT


class Bond(WellField):
    """O and H, each in a soft well, with a spring between them: linear, so that a step is a matrix."""

    def __init__(self, structures, soft: float, stiff: float) -> None:
        super().__init__(structures, soft, 0.0)
        self.stiff = stiff

    def __call__(self, positions):
        output = super().__call__(positions)
        pull = self.stiff * ((positions - self.centres)[:, 1] - (positions - self.centres)[:, 0])
        forces = output.forces + torch.stack([pull, -pull], dim=1)
        return FieldOutput(energy=output.energy + 0.5 * (pull**2).sum(1) / self.stiff, forces=forces)


class OneDraw:
    """Random numbers that are all zero but one."""

    def __init__(self, index: int | None) -> None:
        self.index = index

    def normals(self, step: int, shape: tuple[int, ...]) -> torch.Tensor:
        numbers = torch.zeros(2 * int(np.prod(shape)), dtype=torch.float64)
        if self.index is not None:
            numbers[self.index] = 1.0
        return numbers.reshape(2, 1, *shape)


OH_STRETCH_PER_CM, DT_FS, T, TAU_FS = 3600.0, 0.5, 300.0, 100.0


def bond():
    atoms = Atoms("OH", positions=[[0, 0, 0], [0.96, 0, 0]])
    masses = atoms.get_masses()
    omega = 2 * np.pi * OH_STRETCH_PER_CM * 2.99792458e-5 / FS
    reduced = masses.prod() / masses.sum()
    return atoms, masses, Bond([atoms], soft=1.0, stiff=reduced * omega**2)


def atomic_temperatures(covariance, masses):
    return np.diag(covariance)[6:].reshape(2, 3).mean(axis=1) / masses / KB


def test_oxygen_and_hydrogen_of_a_stretch_have_one_temperature():
    atoms, masses, field = bond()
    particles = Particles.from_structures([atoms], fix_com=False)
    dynamics = Dynamics(DT_FS, Langevin(T, TAU_FS))

    def step(x, draw):
        positions = field.centres + torch.as_tensor(x[:6]).reshape(1, 2, 3)
        output = field(positions)
        state = MDState(
            positions=positions,
            momenta=torch.as_tensor(x[6:]).reshape(1, 2, 3),
            forces=output.forces,
            energy=output.energy,
            heat=torch.zeros(1, dtype=torch.float64),
            step=0,
        )
        moved = dynamics.step(state, field, particles, OneDraw(draw))
        return np.concatenate([(moved.positions - field.centres).numpy().ravel(), moved.momenta.numpy().ravel()])

    # The step of the engine as a matrix and its noise as another, column by column; then its exact stationary state.
    matrix = np.stack([step(column, None) for column in np.eye(12)], axis=1)
    noise = np.stack([step(np.zeros(12), draw) for draw in range(12)], axis=1)
    oxygen, hydrogen = atomic_temperatures(linalg.solve_discrete_lyapunov(matrix, noise @ noise.T), masses)
    assert abs(oxygen - hydrogen) < 0.2
    assert hydrogen == pytest.approx(T, abs=0.2)
    # Exact, and not merely small: rounding of 1e-15 over eigenvalues that are 1e-3 away from one.
    assert hydrogen == pytest.approx(T, rel=1e-6)


def test_baoab_splitting_lowers_the_kinetic_temperature_of_the_bond():
    """BAOAB (Leimkuhler & Matthews 2013) on the same bond, from its definition: right positions, momenta (ωΔt)²/4 too low."""
    _, masses, field = bond()
    h = DT_FS * FS
    mass = np.repeat(masses, 3)
    stiffness = field.k * np.eye(6) + field.stiff * np.kron([[1, -1], [-1, 1]], np.eye(3))
    one, zero = np.eye(6), np.zeros((6, 6))
    kick = np.block([[one, zero], [-0.5 * h * stiffness, one]])
    drift = np.block([[one, 0.5 * h * np.diag(1 / mass)], [zero, one]])
    damping = np.exp(-DT_FS / TAU_FS)
    bath = np.diag([1.0] * 6 + [damping] * 6)
    width = np.diag([0.0] * 6 + list((1 - damping**2) * mass * KB * T))
    after = kick @ drift
    matrix = after @ bath @ drift @ kick
    oxygen, hydrogen = atomic_temperatures(linalg.solve_discrete_lyapunov(matrix, after @ width @ after.T), masses)
    omega_dt = 2 * np.pi * OH_STRETCH_PER_CM * 2.99792458e-5 * DT_FS
    # One mode in three directions of each atom: hydrogen has mO/(mO + mH) of it, oxygen the rest. To the next order in ωΔt.
    apart = T * omega_dt**2 / 4 * (masses[0] - masses[1]) / masses.sum()
    assert oxygen - hydrogen == pytest.approx(apart, rel=omega_dt**2)
    assert apart > 7.0
