"""Relaxations against closed forms and against plain ASE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.emt import EMT
from ase.optimize import FIRE, LBFGS
from data_mirror import MIRROR, needs_data
from known_fields import CalculatorField, Well, card

from ncbench.diagnostics import relax as diagnostic
from ncbench.diagnostics.base import Context
from ncbench.diagnostics.relax import RelaxSettings
from ncbench.errors import UnsupportedError, UsageError
from ncbench.models.families.analytic_ase import EinsteinCalculator
from ncbench.models.interface import Evaluation, Field, FieldOutput, ForceField
from ncbench.models.loading import load_forcefield
from ncbench.relaxation.batch import relax
from ncbench.relaxation.relaxation import ESCAPE_A, Ending, displaced_start, pieces
from ncbench.relaxation.schemas import RUNS, SCHEMA
from ncbench.structures.load import load_cases
from ncbench.structures.water import water_molecule
from ncbench.types import Budget, Case, ModelRequest, SystemRequest

BOTH = ["lbfgs", "fire"]
ASE = {"lbfgs": LBFGS, "fire": FIRE}
K = 5.0


def einstein(k: float = K, kappa: float = 0.0) -> ForceField:
    options = (("k", str(k)), ("kappa", str(kappa)))
    return load_forcefield(ModelRequest(spec="analytic-solenoidal", options=options))


def crystal(count: int = 1) -> list[Case]:
    return load_cases(SystemRequest(name="harmonic-crystal", structures=count), 1, 0)


class FromCalculator(ForceField):
    """Any ASE calculator, and a list of the structures it was bound to."""

    def __init__(self, calculator: Any, **values: Any) -> None:
        self.card = card("calculator", **values)
        self.calculator = calculator
        self.bound = 0

    def _bind(self, structures: Any) -> Field:
        self.bound += 1
        return CalculatorField(structures, self.calculator)

    def _evaluate(self, structures: Any, *, stress: bool) -> list[Evaluation]:
        raise AssertionError("relaxation binds")


class Made(ForceField):
    """Forces from a function of positions [N, 3]; no energy."""

    def __init__(self, forces: Any) -> None:
        self.card = card("made", has_energy=False)
        self.forces = forces

    def _bind(self, structures: Any) -> Field:
        return MadeField(structures, self.forces)

    def _evaluate(self, structures: Any, *, stress: bool) -> list[Evaluation]:
        raise AssertionError("relaxation binds")


class MadeField(Field):
    def __init__(self, structures: Any, forces: Any) -> None:
        super().__init__(structures, torch.device("cpu"))
        self.forces = forces

    def __call__(self, positions: torch.Tensor) -> FieldOutput:
        assert torch.isfinite(positions).all()
        forces = np.stack([self.forces(at) for at in positions.numpy()])
        return FieldOutput(torch.full((self.n_replicas,), torch.nan), torch.as_tensor(forces))


@pytest.mark.parametrize("optimizer", BOTH)
def test_a_harmonic_crystal_relaxes_to_its_sites(optimizer: str) -> None:
    (case,) = crystal()
    result = relax(einstein(), case.atoms, optimizer, fmax=1e-6, max_steps=1000)
    assert result.ending is Ending.CONVERGED
    # |f| = k |u| below fmax for each atom.
    assert np.linalg.norm(result.positions - case.atoms.arrays["sites"], axis=1).max() <= 1e-6 / K
    assert result.energy == pytest.approx(0.0, abs=64 * 0.5 * K * (1e-6 / K) ** 2)
    assert len(result.fmax_trace) == result.steps + 1 == result.force_calls
    start = K * np.linalg.norm(case.atoms.positions - case.atoms.arrays["sites"], axis=1).max()
    assert result.fmax_trace[0] == pytest.approx(start, rel=1e-12)


@pytest.mark.parametrize("optimizer", BOTH)
def test_steps_are_those_of_plain_ase(optimizer: str) -> None:
    # EMT copper: an anharmonic surface, on which one different force would separate the two paths.
    atoms = Atoms("Cu4", positions=np.array([[0, 0, 0], [2.3, 0.2, 0], [0.1, 2.4, 0.3], [1.0, 1.2, 2.2]]))
    plain = atoms.copy()
    plain.calc = EMT()
    optimiser = ASE[optimizer](plain, logfile=None)
    assert optimiser.run(fmax=1e-4, steps=500)
    computed = relax(FromCalculator(EMT()), atoms, optimizer, fmax=1e-4, max_steps=500)
    assert computed.ending is Ending.CONVERGED
    assert computed.steps == optimiser.nsteps > 10
    assert np.array_equal(computed.positions, plain.positions)


@pytest.mark.parametrize("optimizer", BOTH)
def test_adapter_and_calculator_relax_identically_in_a_weak_solenoidal_field(optimizer: str) -> None:
    (case,) = crystal()
    plain = case.atoms.copy()
    plain.calc = EinsteinCalculator(K, 0.5)
    optimiser = ASE[optimizer](plain, logfile=None)
    optimiser.run(fmax=1e-4, steps=500)
    computed = relax(einstein(kappa=0.5), case.atoms, optimizer, fmax=1e-4, max_steps=500)
    assert computed.ending is Ending.CONVERGED
    assert computed.steps == optimiser.nsteps


def test_fire_does_not_converge_in_a_purely_solenoidal_field() -> None:
    """With k = 0, u·f = 0 for each atom, u in the plane of the swirl.

    From v = 0, u·v then never falls below zero: v += f dt leaves it, mixing v with |v| f/|f| scales it by 1 − a, a restart
    makes it zero, and u += v dt adds v² dt. Hence |u| never shrinks, and neither does the largest force, κ |u|.
    """
    (case,) = crystal()
    result = relax(einstein(k=0.0, kappa=0.5), case.atoms, "fire", fmax=1e-4, max_steps=400)
    assert result.ending is not Ending.CONVERGED
    # The largest of 64 norms, each rounded to a few units of 2e-16 of positions of 12 Å.
    assert np.diff(result.fmax_trace).min() > -1e-13
    assert result.fmax_trace[-1] > 5 * result.fmax_trace[0]


def test_lbfgs_finds_no_curvature_in_a_purely_solenoidal_field() -> None:
    # yᵀs = −sᵀJs = 0 for an antisymmetric J: the inverse Hessian it builds is rounding.
    (case,) = crystal()
    result = relax(einstein(k=0.0, kappa=0.5), case.atoms, "lbfgs", fmax=1e-4, max_steps=400)
    assert result.ending is not Ending.CONVERGED
    assert np.nanmin(result.fmax_trace) > 0.5 * result.fmax_trace[0]


@pytest.mark.parametrize("optimizer", BOTH)
def test_a_solenoidal_part_as_stiff_as_the_springs_prevents_convergence(optimizer: str) -> None:
    # As in the paper: the relaxation converges in the weaker field above and not in this one, though both have their only equilibrium at the sites.
    (case,) = crystal()
    result = relax(einstein(kappa=K), case.atoms, optimizer, fmax=1e-4, max_steps=300)
    assert result.ending is not Ending.CONVERGED
    assert result.fmax_trace.min() > 0.1


def constant(r: np.ndarray) -> np.ndarray:
    return np.zeros_like(r) + np.array([0.3, 0.0, 0.0])


def test_a_constant_force_drives_the_atoms_away() -> None:
    result = relax(Made(constant), Atoms("He"), "fire", fmax=1e-4, max_steps=1000)
    assert result.ending is Ending.EXPLODED
    assert result.positions[0, 0] > ESCAPE_A
    # ASE's optimisers step 0.2 Å at most.
    assert ESCAPE_A / 0.2 <= result.steps < 1000
    assert result.fmax_trace == pytest.approx(np.full(result.steps + 1, 0.3))
    assert np.isnan(result.energy)


def test_a_constant_force_leaves_lbfgs_without_curvature() -> None:
    # y = 0 after the first step: 1/yᵀs is infinite and the next step is not a number, for which the model is not called.
    result = relax(Made(constant), Atoms("He"), "lbfgs", fmax=1e-4, max_steps=1000)
    assert result.ending is Ending.EXPLODED
    assert not np.isfinite(result.positions).all()
    assert result.force_calls == result.steps < 5


def test_forces_that_are_not_finite_end_the_relaxation() -> None:
    def broken(r: np.ndarray) -> np.ndarray:
        return np.where(r > 0.5, np.nan, 1.0)

    result = relax(Made(broken), Atoms("He", positions=[[0.4, 0.0, 0.0]]), "fire", fmax=1e-4, max_steps=1000)
    assert result.ending is Ending.EXPLODED
    assert result.steps < 10
    assert np.isnan(result.fmax_trace[-1])


def test_a_relaxed_structure_takes_no_step() -> None:
    (case,) = crystal()
    case.atoms.positions = case.atoms.arrays["sites"]
    result = relax(einstein(), case.atoms, "lbfgs", fmax=1e-4, max_steps=1000)
    assert (result.ending, result.steps, result.force_calls) == (Ending.CONVERGED, 0, 1)


def test_displaced_starts_have_the_requested_spread_without_overlaps() -> None:
    rng = np.random.default_rng(0)
    molecule = water_molecule()
    starts = [displaced_start(molecule, 0.5, rng) for _ in range(300)]
    spread = np.std([start.positions - molecule.positions for start, _ in starts])
    # 2700 Gaussian numbers: the deviation is known to 0.5/√5400 = 0.007; overlaps drawn again change it less.
    assert spread == pytest.approx(0.5, abs=0.035)
    assert min(start.get_all_distances()[np.triu_indices(3, 1)].min() for start, _ in starts) > 0.25
    assert sum(thrown for _, thrown in starts) > 0
    with pytest.raises(UsageError, match="in every draw"):
        displaced_start(Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.1]]), 0.0, rng)


def test_fragments_are_counted() -> None:
    molecule = water_molecule()
    assert pieces(molecule) == 1
    molecule.positions[1] += 1.0
    assert pieces(molecule) == 2
    assert pieces(Atoms("He")) == 1


def test_rows_count_relaxations_by_outcome(context: Context) -> None:
    def outward(r: np.ndarray) -> np.ndarray:
        # Zero within 1 Å of the origin, and a pull outward beyond: success depends on the random start.
        return np.where(np.linalg.norm(r, axis=1, keepdims=True) > 1.0, 0.2 * r / np.linalg.norm(r), 0.0 * r)

    settings = RelaxSettings(optimizer="fire", n=40, displacement_A=0.6)
    outcome = diagnostic.run(Made(outward), [Case("ball#0", Atoms("He"))], settings, seed=1, context=context)
    (row,) = outcome.rows
    runs = outcome.side["runs"]
    assert 0 < row["n_success"] < 40
    assert (row["n"], row["n_exploded"], row["n_not_converged"]) == (40, 40 - row["n_success"], 0)
    assert row["success_percent"] == pytest.approx(2.5 * row["n_success"])
    assert row["success_percent_low"] < row["success_percent"] < row["success_percent_high"]
    assert row["steps_median"] == 0.0
    assert sum(run["converged"] for run in runs) == row["n_success"]
    assert {run["energy_eV"] for run in runs} == {None}
    assert {run["status"] for run in runs if run["ending"] == "exploded"} == {"exploded"}
    assert set(row) - {"structure", "n_atoms", "status", "reason"} == {column.name for column in SCHEMA.columns}
    assert set(runs[0]) - {"structure", "n_atoms", "status", "reason"} == {column.name for column in RUNS.columns}
    assert outcome.side["trace"][0]["step"] == 0
    assert len({(row["optimizer"], row["start"]) for row in outcome.side["trace"]}) == settings.traces


def test_a_dissociated_molecule_is_converged_and_fragments_are_counted(context: Context) -> None:
    """The paper's criterion uses forces only; dissociation is counted separately."""

    def apart(r: np.ndarray) -> np.ndarray:
        along = r[1] - r[0]
        pull = 0.5 * along / np.linalg.norm(along) * (np.linalg.norm(along) < 5.0)
        return np.stack([-pull, pull])

    hydrogen = Case("h2#0", Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]]))
    settings = RelaxSettings(optimizer="fire", n=3, displacement_A=0.05)
    (row,) = diagnostic.run(Made(apart), [hydrogen], settings, seed=0, context=context).rows
    assert (row["n_success"], row["n_fragmented"]) == (3, 3)


def test_data_sets_have_their_own_criteria_and_starts(context: Context) -> None:
    cases = [*crystal(3), *load_cases(SystemRequest(name="water-molecule"), 1, 0)]
    settings = RelaxSettings(extent=Budget.SMOKE, n=2)
    outcome = diagnostic.run(einstein(), cases, settings, seed=0, context=context)
    table = {(row["set"], row["optimizer"]): row for row in outcome.rows}
    assert set(table) == {(name, opt) for name in ("harmonic-crystal", "water-molecule") for opt in BOTH}
    bulk, molecule = table["harmonic-crystal", "fire"], table["water-molecule", "fire"]
    assert (bulk["fmax_eV_per_A"], bulk["displacement_A"], bulk["n"], bulk["max_steps"]) == (1e-4, 0.0, 2, 100)
    assert (molecule["fmax_eV_per_A"], molecule["displacement_A"], molecule["n"]) == (1e-5, 0.5, 2)
    assert molecule["max_steps"] == 1000
    starts: Mapping[Any, Any] = {
        (row["set"], row["optimizer"], row["start"]): row["force_max_eV_per_A"]
        for row in outcome.side["trace"]
        if row["step"] == 0
    }
    for name in ("harmonic-crystal", "water-molecule"):
        assert starts[name, "lbfgs", 0] == starts[name, "fire", 0]
        assert starts[name, "fire", 0] != starts[name, "fire", 1]


@needs_data
def test_the_named_systems_have_the_protocol_of_table_7(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCBENCH_DATA_MIRROR", str(MIRROR))
    cases = [
        case
        for name in ("water-molecule", "water-dft", "qm9", "mptrj")
        for case in load_cases(SystemRequest(name=name), 3, 0)
    ]
    sets = {group.name: group for group in diagnostic._sets(Made(constant), cases, RelaxSettings(extent=Budget.PAPER))}
    assert {name: (group.displacement_A, group.fmax, group.max_steps) for name, group in sets.items()} == {
        "water-molecule": (0.5, 1e-5, 1000),
        "water-dft": (0.0, 1e-4, 1000),
        "qm9": (0.5, 1e-5, 1000),
        "mptrj": (0.0, 1e-4, 1000),
    }
    # A hundred displacements of a molecule; an undisplaced structure is relaxed once.
    assert {name: group.n for name, group in sets.items()} == {
        "water-molecule": 100, "water-dft": 3, "qm9": 100, "mptrj": 3,
    }  # fmt: skip


def test_undisplaced_structures_are_relaxed_once_each(context: Context) -> None:
    settings = RelaxSettings(n=50, optimizer="lbfgs")
    (row,) = diagnostic.run(einstein(), crystal(2), settings, seed=0, context=context).rows
    assert row["n"] == 2


def test_finished_relaxations_are_not_repeated(context: Context) -> None:
    settings = RelaxSettings(n=4, optimizer="both")
    whole = diagnostic.run(Well(kappa=0.3), _wells(), settings, seed=5, context=context)
    kept = context.checkpoint.load()
    assert kept is not None
    for key in ("well#|fire|3", "well#|fire|3|history"):
        kept.pop(key.replace("#", ""))
    context.checkpoint.save(kept)
    forcefield = CountedWell(kappa=0.3)
    again = diagnostic.run(forcefield, _wells(), settings, seed=5, context=context)
    assert forcefield.bound == 1

    assert timeless(again.rows) == timeless(whole.rows)
    assert timeless(again.side["runs"]) == timeless(whole.side["runs"])
    assert again.side["trace"] == whole.side["trace"]


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def _wells() -> list[Case]:
    molecule = water_molecule()
    molecule.set_array("sites", molecule.get_positions())
    return [Case("well#0", molecule)]


class CountedWell(Well):
    bound = 0

    def _bind(self, structures: Any) -> Any:
        self.bound += 1
        return super()._bind(structures)


def test_structures_with_unsupported_elements_are_skipped_and_counted(context: Context) -> None:
    model = FromCalculator(EMT(), elements=frozenset({29}))
    copper = Case("metals#0", Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2.4]]))
    gold = Case("metals#1", Atoms("Au2", positions=[[0, 0, 0], [0, 0, 2.6]]))
    settings = RelaxSettings(n=2, optimizer="fire", displacement_A=0.1, fmax=1e-2)
    (row,) = diagnostic.run(model, [copper, gold], settings, seed=0, context=context).rows
    assert (row["n"], row["n_unsupported"], row["structure"]) == (2, 1, "metals#0")
    with pytest.raises(UnsupportedError, match="does not know Au"):
        diagnostic.run(model, [gold], settings, seed=0, context=context)


@pytest.mark.parametrize(
    "wrong",
    [{"optimizer": "bfgs"}, {"n": 0}, {"max_steps": -1}, {"fmax": 0.0}, {"displacement_A": -0.1}, {"batch": 0}],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RelaxSettings(**wrong)
