"""Constant pressure: closed form of a gas, sign of the stress, resumed runs, and the effect of a wrong stress."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from dialled.defects import Argon
from known_fields import card

from ncbench.diagnostics.base import Context
from ncbench.diagnostics.npt import NptSettings, run
from ncbench.errors import UnsupportedError, UsageError
from ncbench.md.ipi_box import run_box
from ncbench.md.ipi_simulation import Input, thermostat_xml
from ncbench.models.ase_adapter import ASEForceField
from ncbench.models.loading import load_forcefield
from ncbench.statistics.series import blocking_mean
from ncbench.structures.load import load_cases
from ncbench.types import Case, Interrupted, ModelRequest, SystemRequest
from ncbench.units import KB

pytest.importorskip("ipi")
pytestmark = [
    # i-PI calls names that Python is about to drop, and leaves files to the garbage collector.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Nothing(Calculator):
    """An ideal gas."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012  # ASE's own spelling

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        Calculator.calculate(self, atoms, properties, system_changes)
        self.results = {"energy": 0.0, "free_energy": 0.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}


class MemoryOfNothing:
    def load(self) -> None:
        return None

    def save(self, state: Any) -> None:
        pass


def field(calculator: Calculator) -> ASEForceField:
    return ASEForceField(calculator, card("test", has_stress=True, has_energy=True))


def argon(stretch: float = 1.0) -> Case:
    (case,) = load_cases(SystemRequest(name="argon", structures=1), 1, 0)
    case.atoms.set_cell(case.atoms.cell * stretch, scale_atoms=True)
    return case


SHORT = {
    "temperature_K": 40.0,
    "equilibration_fs": 0.0,
    "sample_every": 1,
    "timestep_fs": 2.0,
    "barostat_tau_fs": 500.0,
}


def measured(
    forcefield: Any, case: Case, context: Context, **settings: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    outcome = run(forcefield, [case], NptSettings(**(SHORT | settings)), seed=1, context=context)
    return outcome.rows[0], outcome.side["series"]


def test_compressed_cells_expand_and_stretched_cells_shrink(context: Context) -> None:
    lj = load_forcefield(ModelRequest(spec="analytic-lj"))
    for stretch, sign in ((0.96, 1.0), (1.04, -1.0)):
        row, series = measured(
            lj, argon(stretch), Context(context.progress, type(context.checkpoint)()), duration_fs=60.0
        )
        assert row["status"] == "ok"
        assert sign * (series[-1]["cell_length_A"] - series[0]["cell_length_A"]) > 0.05
        assert sign * row["cell_drift_A_per_ps"] > 0


def test_enthalpy_is_conserved_in_nph_except_with_a_wrong_stress(context: Context) -> None:
    drifts = {}
    for sign in (1.0, -1.0):
        fresh = Context(context.progress, type(context.checkpoint)())
        row, _ = measured(field(Argon(stress_sign=sign)), argon(0.98), fresh, ensemble="nph", duration_fs=40.0)
        drifts[sign] = row["enthalpy_drift_meV_per_atom_per_ps"]
    # The cell oscillates by an ångström in these 40 fs; a shift of some tenths is second order in the time step, tens are not.
    assert abs(drifts[1.0]) < 0.5
    assert abs(drifts[-1.0]) > 20 * abs(drifts[1.0])


@pytest.mark.parametrize(
    "settings", [{"ensemble": "npt", "thermostat": "langevin:100"}, {"ensemble": "nph"}, {"thermostat": "gle"}]
)
def test_an_interrupted_run_resumes_to_identical_results(context: Context, settings: dict[str, Any]) -> None:
    lj = load_forcefield(ModelRequest(spec="analytic-lj"))
    whole = measured(lj, argon(0.98), context, duration_fs=40.0, **settings)

    class Counting(type(lj)):  # type: ignore[misc]
        """Presses Ctrl-C at every seventh force call."""

        calls = 0

        def evaluate(self, structures, *, stress=False):
            Counting.calls += 1
            if Counting.calls % 7 == 0:
                raise KeyboardInterrupt
            return super().evaluate(structures, stress=stress)

    lj.__class__ = Counting
    again, stops = Context(context.progress, type(context.checkpoint)()), []
    while True:
        try:
            cut = measured(lj, argon(0.98), again, duration_fs=40.0, **settings)
            break
        except Interrupted as stop:
            stops.append(stop.outcome.rows[0]["status"])
    assert len(stops) >= 2
    assert set(stops) == {"incomplete"}
    assert cut == whole


@pytest.mark.parametrize("second_run", [False, True])
def test_ctrl_c_in_the_first_force_call_gives_marked_rows(context: Context, second_run: bool) -> None:
    lj = load_forcefield(ModelRequest(spec="analytic-lj"))
    settings = NptSettings(**(SHORT | {"replicas": 2, "duration_fs": 20.0, "redraw_momenta": True}))
    whole = run(lj, [argon(0.98)], settings, seed=1, context=context)
    stop_at = 12 if second_run else 1
    assert whole.rows[0]["steps"] == 10  # and a force call more, at the start

    class Pressed(type(lj)):  # type: ignore[misc]
        calls = 0

        def evaluate(self, structures, *, stress=False):
            Pressed.calls += 1
            if Pressed.calls == stop_at:
                raise KeyboardInterrupt
            return super().evaluate(structures, stress=stress)

    lj.__class__ = Pressed
    again = Context(context.progress, type(context.checkpoint)())
    with pytest.raises(Interrupted) as stop:
        run(lj, [argon(0.98)], settings, seed=1, context=again)
    *before, last = stop.value.outcome.rows
    assert before == (whole.rows[:1] if second_run else [])
    assert (last["status"], last["cell_length_A"]) == ("incomplete", None)
    assert last["reason"].startswith("interrupted after 0 fs")
    # No step was completed, so that resuming repeats the whole run.
    assert run(lj, [argon(0.98)], settings, seed=1, context=again).rows == whole.rows


def test_multiple_time_stepping_of_a_model_with_itself_is_plain_dynamics(context: Context) -> None:
    # Slow forces and stresses are zero: the trajectory is that of the inner step, but that the barostat moves the cell every 8 fs only.
    lj = load_forcefield(ModelRequest(spec="analytic-lj"))
    other = Context(context.progress, type(context.checkpoint)(), reference=lj)
    split, _ = measured(lj, argon(), other, mts=4, duration_fs=200.0, ensemble="nph")
    plain, _ = measured(lj, argon(), context, duration_fs=200.0, ensemble="nph")
    assert (split["stress_from"], split["stride"]) == ("mts", 4)
    assert split["cell_length_A"] == pytest.approx(plain["cell_length_A"], abs=0.02)
    assert abs(split["enthalpy_drift_meV_per_atom_per_ps"]) < 0.1


@pytest.mark.slow
def test_an_ideal_gas_obeys_its_equation_of_state() -> None:
    # p(V) ~ V^(N-1) exp(-PV/kT) with the centre of mass at rest: <V> = N kT/P.
    n, temperature, length = 20, 300.0, 20.0
    rng = np.random.default_rng(0)
    atoms = Atoms("Ar" * n, positions=rng.uniform(0, length, (n, 3)), cell=[length] * 3, pbc=True)
    momenta = rng.normal(size=(n, 3)) * np.sqrt(KB * temperature * atoms.get_masses())[:, None]
    reported = Input(
        atoms=atoms,
        momenta=momenta - momenta.mean(axis=0),
        mode="npt",
        temperature_K=temperature,
        timestep_fs=1.0,
        seed=7,
        thermostat=thermostat_xml("langevin", tau_fs=50.0),
        pressure_eV_per_A3=n * KB * temperature / length**3,
        barostat_tau_fs=50.0,
    )
    nothing = {"field": lambda cell, positions: (0.0, np.zeros((n, 3)), np.zeros((3, 3)))}
    result = run_box(
        reported, nothing, n_steps=60_000, sample_every=20, max_temperature_K=1e4, max_stretch=10.0,
        checkpoint=MemoryOfNothing(), report=lambda step, note: None,
    )  # fmt: skip
    mean = blocking_mean(np.array(result.series.volume_A3[100:]))
    assert abs(mean.value - length**3) < 4 * mean.error
    assert mean.error < 0.1 * length**3


def test_invalid_settings_are_refused(context: Context) -> None:
    molecule = load_cases(SystemRequest(name="water-molecule"), 1, 0)
    with pytest.raises(UnsupportedError, match="periodic"):
        run(field(Nothing()), molecule, NptSettings(), seed=0, context=context)
    with pytest.raises(UnsupportedError, match="has no stress"):
        run(load_forcefield(ModelRequest(spec="analytic-harmonic")), [argon()], NptSettings(), seed=0, context=context)
    with pytest.raises(UnsupportedError, match="direct mode"):
        run(
            load_forcefield(ModelRequest(spec="analytic-lj")),
            [argon()],
            NptSettings(conservative_forces=True),
            seed=0,
            context=context,
        )
    for wrong in (
        {"mts": 0},
        {"barostat_tau_fs": 0.0},
        {"pressure_GPa": np.nan},
        {"mts": 2, "conservative_forces": True},
    ):
        with pytest.raises(UsageError):
            NptSettings(**wrong)


def test_a_diverging_cell_is_an_explosion(context: Context) -> None:
    row, _ = measured(field(Nothing()), argon(), context, max_stretch=1.01, duration_fs=4000.0, ensemble="nph")
    assert row["status"] == "exploded"
    assert 0 < row["exploded_at_fs"] < 4000.0
