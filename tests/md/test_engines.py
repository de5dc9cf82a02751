"""ASE and LAMMPS as engines: the trajectories of our own, runs that are cut in two, and failures that end a replica and not the program."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from known_fields import Well, WellField, cluster
from memory_context import MemoryCheckpoint

from ncbench.diagnostics import nve_drift
from ncbench.diagnostics.nve_drift import NveDriftSettings
from ncbench.errors import UnsupportedError
from ncbench.md.engines import external_engine
from ncbench.md.ensemble import VERLET, EnsembleRun, Scheme, Start, run_ensemble
from ncbench.md.integrators import Dynamics
from ncbench.md.settings import MdSettings
from ncbench.md.thermostats import make_thermostat
from ncbench.models.interface import FieldOutput, ForceField
from ncbench.models.loading import load_forcefield
from ncbench.types import Case, ModelRequest

needs_lammps = pytest.mark.models("lammps", install="ncbench[lammps]")
needs_torch_sim = pytest.mark.models("torch_sim", install="ncbench[torch-sim] (Python 3.12 or later)")
EXTERNAL = [
    "ase",
    pytest.param("lammps", marks=needs_lammps),
    pytest.param("torch-sim", marks=needs_torch_sim),
    pytest.param(
        "i-pi",
        marks=[
            pytest.mark.models("ipi", install="ncbench[i-pi]"),
            # i-PI calls names that Python is about to drop, and leaves files to the garbage collector.
            pytest.mark.filterwarnings("ignore::DeprecationWarning"),
            pytest.mark.filterwarnings("ignore::ResourceWarning"),
            pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
        ],
    ),
]
CONSTANTS = {"ase": 0.0, "lammps": 1e-7, "i-pi": 0.0, "torch-sim": 0.0}
"""Relative difference of the constants between forces and accelerations: LAMMPS has its own, to eight digits."""
ATOMS = cluster("H2OH2O", spread=0.05)


def run(
    engine: str,
    *,
    forcefield: ForceField | None = None,
    atoms: Atoms = ATOMS,
    steps: int,
    memory: MemoryCheckpoint | None = None,
    timestep_fs: float = 0.5,
    **settings,
) -> EnsembleRun:
    return run_ensemble(
        forcefield or Well(5.0, 0.2), [atoms], [0], Dynamics(timestep_fs),
        MdSettings(timestep_fs=timestep_fs, sample_every=1, redraw_momenta=True, **settings), n_steps=steps, seed=3, label="t",
        checkpoint=memory or MemoryCheckpoint(), report=lambda step, note: None, engine=engine,
    )  # fmt: skip


@pytest.mark.parametrize("fix_com", [True, False])
@pytest.mark.parametrize("engine", EXTERNAL)
def test_positions_are_those_of_our_own_engine(engine: str, fix_com: bool) -> None:
    computed, reference = (run(name, steps=200, fix_com=fix_com).result.state for name in ("own", engine))
    # 200 steps of a stable linear map; a relative error ε of the accelerations shifts the phase of H, ωt = 22, by 11 ε.
    tolerance = 1e-9 + 20.0 * CONSTANTS[engine]
    np.testing.assert_allclose(reference.positions.numpy(), computed.positions.numpy(), atol=tolerance)
    np.testing.assert_allclose(reference.momenta.numpy(), computed.momenta.numpy(), atol=tolerance)
    np.testing.assert_allclose(reference.energy.numpy(), computed.energy.numpy(), atol=tolerance)
    # i-PI keeps the net force and removes the momentum of the centre of mass.
    if not (fix_com and engine == "i-pi"):
        np.testing.assert_allclose(reference.forces.numpy(), computed.forces.numpy(), atol=10.0 * tolerance)
    assert reference.step == computed.step == 200


@pytest.mark.parametrize("engine", EXTERNAL)
def test_atoms_that_cross_the_faces_of_an_oblique_cell_feel_the_same_forces(engine: str) -> None:
    atoms = bulk("Ar", "fcc", a=5.4) * (4, 4, 4)
    assert abs(float(atoms.cell.angles()[0]) - 90.0) > 10.0
    lj = load_forcefield(ModelRequest(spec="analytic-lj"))
    computed, reference = (
        run(name, forcefield=lj, atoms=atoms, steps=150, timestep_fs=10.0, temperature_K=150.0)
        for name in ("own", engine)
    )
    # Atoms of faces leave the cell within the first steps. Neighbouring trajectories part slowly in 1.5 ps.
    moved = np.abs(computed.result.state.positions[0].numpy() - atoms.positions).max()
    assert moved > 0.5
    np.testing.assert_allclose(
        reference.result.state.positions.numpy(),
        computed.result.state.positions.numpy(),
        atol=1e-6 + 1e3 * CONSTANTS[engine],
    )
    np.testing.assert_allclose(reference.series.total, computed.series.total, atol=1e-6 + 1e3 * CONSTANTS[engine])


@pytest.mark.parametrize("engine", EXTERNAL)
def test_what_the_engine_reports_before_the_first_step_is_in_our_units(engine: str) -> None:
    settings = MdSettings(redraw_momenta=True)
    start = Start.of(Well(5.0, 0.2), [ATOMS], [0], settings, seed=3, label="t")
    stepper = external_engine(
        engine, Dynamics(0.5), VERLET, Well(5.0, 0.2), [ATOMS], seed=3, replicas=[0], label="t", temperature_K=300.0
    )
    state = stepper.initialise(start.state(), start.particles, start.noise)
    reported = stepper.reported(state, start.field, start.particles)
    assert reported.potential_eV == pytest.approx(float(state.energy[0]), rel=1e-12)
    np.testing.assert_allclose(reported.forces, state.forces[0].numpy(), atol=1e-12)
    kinetic = 0.5 * float((state.momenta**2 * start.particles.inverse_masses).sum())
    assert reported.kinetic_eV == pytest.approx(kinetic, rel=1e-12 + CONSTANTS[engine])
    assert kinetic > 0.1


@pytest.mark.parametrize("engine", ["ase", EXTERNAL[1], EXTERNAL[2]])
def test_a_run_cut_in_two_gives_the_same_bits(engine: str) -> None:
    whole = run(engine, steps=24)
    memory = MemoryCheckpoint()
    for steps in (7, 8, 24):
        cut = run(engine, steps=steps, memory=memory)
    assert np.array_equal(cut.series.potential, whole.series.potential)
    assert np.array_equal(cut.series.species_kinetic, whole.series.species_kinetic)
    assert np.array_equal(cut.result.state.positions.numpy(), whole.result.state.positions.numpy())


class BreakingField(WellField):
    """Forces that are not finite, or Ctrl-C, after some calls."""

    kind = ""

    def __call__(self, positions):
        output = super().__call__(positions)
        if self.calls > 10 and self.kind == "interrupt":
            raise KeyboardInterrupt
        if self.calls > 10:
            return FieldOutput(energy=output.energy * np.nan, forces=output.forces * np.nan)
        return output


class Breaking(Well):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def _bind(self, structures):
        field = BreakingField(structures, self.k, self.kappa)
        field.kind = self.kind
        return field


@needs_lammps
def test_forces_that_are_not_finite_end_the_run_and_not_lammps() -> None:
    result = run("lammps", forcefield=Breaking("nan"), steps=50).result
    assert 0 < result.exploded_step[0] < 12
    # LAMMPS goes on to work in this process.
    assert run("lammps", steps=3).result.state.step == 3


@needs_lammps
def test_an_interrupt_in_the_model_passes_through_lammps() -> None:
    with pytest.raises(KeyboardInterrupt):
        run("lammps", forcefield=Breaking("interrupt"), steps=50)
    assert run("lammps", steps=3).result.state.step == 3


@pytest.mark.parametrize("engine", EXTERNAL)
def test_an_explosion_ends_the_replica_and_not_the_program(engine: str) -> None:
    assert run(engine, steps=50, max_temperature_K=1.0).result.exploded_step[0] >= 0


@pytest.mark.parametrize("engine", ["ase", "lammps", "torch-sim"])
@pytest.mark.parametrize(
    ("scheme", "thermostat"), [(Scheme(rescale=True), ""), (Scheme(fast=Well(), stride=4), ""), (VERLET, "svr:50")]
)
def test_what_an_engine_does_not_offer_is_refused(engine: str, scheme: Scheme, thermostat: str) -> None:
    dynamics = Dynamics(0.5)
    if thermostat:
        dynamics = replace(dynamics, thermostat=make_thermostat(thermostat, 300.0))
    with pytest.raises(UnsupportedError, match="velocity Verlet or Langevin dynamics here, without"):
        external_engine(engine, dynamics, scheme, Well(), [ATOMS], seed=0, replicas=[0], label="x", temperature_K=300.0)


@pytest.mark.parametrize(("engine", "package"), [("lammps", "lammps"), ("torch-sim", "torch_sim")])
def test_a_missing_engine_is_named_with_what_to_install(
    engine: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnsupportedError, match=rf"engine {engine} needs .*pip install 'ncbench\[{engine}\]'"):
        run(engine, steps=3)


@pytest.mark.parametrize("engine", ["ase", EXTERNAL[1], EXTERNAL[2]])
def test_nve_drift_runs_each_structure_alone_in_another_engine(engine: str, context) -> None:
    cases = [Case("a", cluster("H2O", spread=0.05)), Case("b", cluster("H2O", spread=0.05, seed=1))]
    rows = {}
    for name in ("own", engine):
        context.checkpoint.state = None
        settings = NveDriftSettings(engine=name, duration_fs=40.0, sample_every=1)
        rows[name] = nve_drift.run(Well(5.0, 0.2), cases, settings, seed=1, context=context).rows
    for own, other in zip(rows["own"], rows[engine], strict=True):
        assert (other["structure"], other["engine"], other["status"]) == (own["structure"], engine, "ok")
        assert other["temperature_mean_K"] == pytest.approx(
            own["temperature_mean_K"], rel=1e-12 + 100.0 * CONSTANTS[engine]
        )
        assert other["energy_drift_meV_per_atom_per_ps"] == pytest.approx(
            own["energy_drift_meV_per_atom_per_ps"], rel=1e-9 + 1e4 * CONSTANTS[engine]
        )
