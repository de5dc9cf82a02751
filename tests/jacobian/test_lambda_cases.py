"""λ of models that misreport their capabilities, of structures without a defined λ, and of many structures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from known_fields import card
from swarm import Swarm, SwarmField

from ncbench.diagnostics import lambda_
from ncbench.errors import NotDifferentiableError, StructureError, UsageError
from ncbench.jacobian.settings import LambdaSettings, choose_method, fitting_batch
from ncbench.models.ase_adapter import ASEForceField
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import WEIGHTS
from ncbench.types import Case, ForceMode, ModelRequest, Status

needs_pet = pytest.mark.skipif(not (WEIGHTS / "pet-m.pt").is_file(), reason="the bundled weights are not made yet")


def atoms_of(n: int = 5, seed: int = 0) -> Atoms:
    rng = np.random.default_rng(seed)
    return Atoms(("HCO" * n)[:n], positions=2.0 * np.arange(n)[:, None] + rng.uniform(-0.5, 0.5, (n, 3)))


def run(forcefield, cases, context, *, seed=0, **wanted):
    context.checkpoint.state = None
    named = [case if isinstance(case, Case) else Case(f"c{k}", case) for k, case in enumerate(cases)]
    return lambda_.run(forcefield, named, LambdaSettings(**wanted), seed=seed, context=context)


def row_of(forcefield, atoms, context, **wanted):
    return run(forcefield, [atoms], context, **wanted).rows[0]


class Cut(Swarm):
    """Declares itself differentiable, but its graph is detached from the positions, or for part of the forces."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def _bind(self, structures):
        share = self.share

        class Half(SwarmField):
            def compute(self, positions, cells):
                energy, forces = super().compute(positions, cells)
                return energy, share * forces + (1 - share) * forces.detach()

        return Half(structures, self.card)


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("wanted", [{}, {"method": "stochastic", "probes": 96}])
def test_a_detached_graph_is_detected_and_differences_are_used(share, wanted, context):
    honest = row_of(Swarm(), atoms_of(), context, method="exact")
    row = row_of(Cut(share), atoms_of(), context, **wanted)
    assert row["method"] == wanted.get("method", "finite-difference")
    assert "measured by differences" in row["note"]
    # The cost of products is counted although they were rejected.
    assert row["products"] > 0
    assert abs(row["lambda"] - honest["lambda"]) <= 4 * row["lambda_se"] + honest["lambda_se"]
    assert honest["note"] == ""


@pytest.mark.parametrize("method", ["exact", "coloured"])
def test_products_of_a_detached_graph_are_refused(method, context):
    with pytest.raises(NotDifferentiableError, match="cannot be used"):
        row_of(Cut(0.5), atoms_of(), context, method=method, reach_A=30.0)


def test_auto_method_follows_size_and_capabilities():
    def chosen(n, black_box="", *, reach=10.0, differentiable=True, **wanted):
        model = card("m", receptive_A=reach, differentiable=differentiable)
        return choose_method(model, n, LambdaSettings(**wanted), black_box=black_box)

    assert chosen(64) == "exact"
    assert chosen(65) == "stochastic"
    assert chosen(64, "why") == "finite-difference"
    assert chosen(65, differentiable=False) == "stochastic"
    assert chosen(512, resolve="atoms") == "exact"
    assert chosen(513, resolve="atoms") == "coloured"
    assert chosen(513, resolve="pairs", reach=None) == "exact"
    assert chosen(513, "why", resolve="pairs") == "finite-difference"
    with pytest.raises(UsageError, match="which --method stochastic does not compute"):
        chosen(10, method="stochastic", resolve="atoms")


def test_batch_size_follows_the_size_of_the_structure():
    settings = LambdaSettings()
    assert fitting_batch(card("m"), 3, settings) == 32
    assert fitting_batch(card("m"), 192, settings) == fitting_batch(card("m"), 5000, settings) == 1
    assert fitting_batch(card("m", device="cuda"), 192, settings) == 42
    assert fitting_batch(card("m"), 192, LambdaSettings(batch=7)) == 7


@pytest.mark.parametrize(
    "wrong", [{"step_A": 0.0}, {"target_error": -1.0}, {"reach_A": float("nan")}, {"probes": 0}, {"batch": 0}]
)
def test_invalid_settings_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        LambdaSettings(**wrong)


@pytest.mark.parametrize("method", ["exact", "stochastic", "finite-difference"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_single_free_atom_has_no_lambda(method, dtype, context):
    argon = load_forcefield(ModelRequest(spec="analytic-lj", dtype=dtype))
    for alone in (Atoms("Ar", positions=[[0.1, 0.2, 0.3]]), bulk("Ar", "fcc", a=5.3)):
        row = row_of(argon, alone, context, method=method, resolve="none")
        assert (row["status"], row["lambda"]) == (Status.FAILED, None)
        assert "a single free atom" in row["reason"]


@needs_pet
@pytest.mark.parametrize("mode", ["direct", "conservative"])
def test_a_single_atom_of_a_learned_model_has_no_lambda(mode, context):
    model = load_forcefield(ModelRequest(spec=f"pet-m:{mode}"))
    row = row_of(model, Atoms("O", cell=[3.0] * 3, pbc=True), context)
    assert row["status"] == Status.FAILED
    assert "single free atom" in row["reason"]


def test_a_single_atom_in_an_external_field_has_a_lambda(context):
    atoms = Atoms("Ar", positions=[[0.1, 0.0, 0.0]])
    atoms.arrays["sites"] = np.zeros((1, 3))
    row = row_of(load_forcefield(ModelRequest(spec="analytic-solenoidal")), atoms, context)
    assert row["lambda"] == pytest.approx(np.sqrt(2 * 0.05**2 / (3 * 25 + 2 * 0.05**2)))


class NoForces(Calculator):
    implemented_properties = ("energy", "forces")
    value = 0.0

    def calculate(self, *args, **kwargs) -> None:
        super().calculate(*args, **kwargs)
        self.results = {"energy": 0.0, "forces": np.full((len(self.atoms), 3), self.value)}


@pytest.mark.parametrize("method", ["auto", "stochastic"])
@pytest.mark.parametrize(("value", "why"), [(0.0, "zero to within rounding"), (float("nan"), "not finite")])
def test_forces_that_are_zero_or_not_finite(method, value, why, context):
    calculator = NoForces()
    calculator.value = value
    row = row_of(ASEForceField(calculator, card("none")), atoms_of(), context, method=method, resolve="none")
    assert (row["status"], row["lambda"], row["lambda_floor"]) == (Status.FAILED, None, None)
    assert why in row["reason"]


@pytest.mark.parametrize("method", ["finite-difference", "stochastic"])
def test_forces_of_noise_alone_have_no_lambda(method, context):
    class Noise(NoForces):
        def calculate(self, *args, **kwargs) -> None:
            super().calculate(*args, **kwargs)
            self.results["forces"] = 1e-9 * np.random.default_rng().normal(size=(len(self.atoms), 3))

    row = row_of(ASEForceField(Noise(), card("noise")), atoms_of(), context, method=method)
    assert (row["status"], row["lambda"]) == (Status.FAILED, None)
    assert "is not resolved: another step" in row["reason"]
    assert "noisy" in row["reason"]


def test_coincident_and_non_finite_positions_are_refused(context):
    twice = atoms_of()
    twice.positions[1] = twice.positions[0]
    with pytest.raises(StructureError, match="apart"):
        row_of(Swarm(), twice, context)
    lost = atoms_of()
    lost.positions[2, 1] = np.nan
    with pytest.raises(StructureError, match="not a finite number"):
        row_of(Swarm(), lost, context)


def test_an_unsupported_structure_does_not_stop_the_others(context):
    forcefield = Swarm()
    forcefield.card = card("swarm", differentiable=True, elements=frozenset({1, 6, 8}))
    result = run(forcefield, [atoms_of(3), Atoms("NaCl", positions=[[0, 0, 0], [2.5, 0, 0]]), atoms_of(4)], context)
    assert [row["status"] for row in result.rows] == ["ok", "unsupported", "ok"]
    assert "does not know Na, Cl" in result.rows[1]["reason"]
    assert result.rows[1]["lambda"] is None
    assert result.side["summary"][0]["n_structures"] == 2


def test_many_structures_have_a_mean(context):
    result = run(Swarm(), [atoms_of(seed=k) for k in range(8)], context, method="stochastic", probes=8)
    values = [row["lambda"] for row in result.rows]
    (summary,) = result.side["summary"]
    assert summary["lambda"] == pytest.approx(np.mean(values))
    assert (summary["lambda_least"], summary["lambda_most"]) == (min(values), max(values))
    assert summary["lambda_low"] < summary["lambda"] < summary["lambda_high"]
    assert (summary["n_structures"], summary["n_above_floor"], summary["n_atoms"]) == (8, 8, 5)
    assert run(Swarm(), [atoms_of()], context).side["summary"] == []


def test_a_resumed_run_has_the_same_mean(context):
    cases = [Case(f"c{k}", atoms_of(seed=k)) for k in range(4)]
    whole = run(Swarm(), cases, context, method="stochastic", probes=4, scan_step=True)
    kept = context.checkpoint.load()
    kept["rows"] = kept["rows"][:2]
    kept["side"]["step-scan"] = [r for r in kept["side"]["step-scan"] if r["structure"] in ("c0", "c1")]
    context.checkpoint.save(kept)
    wanted = LambdaSettings(method="stochastic", probes=4, scan_step=True)
    again = lambda_.run(Swarm(), cases, wanted, seed=0, context=context)
    assert again.side["summary"] == whole.side["summary"]
    assert again.side["step-scan"] == whole.side["step-scan"]


def test_the_step_of_the_scan_is_used(context):
    result = run(Swarm(), [atoms_of()], context, method="finite-difference", scan_step=True)
    scan = result.side["step-scan"]
    assert len(scan) == 13
    assert {row["verdict"] for row in scan} == {"plateau"}
    assert result.rows[0]["scan_verdict"] == "plateau"
    assert scan[0]["step_A"] < result.rows[0]["step_A"] < scan[-1]["step_A"]
    best = min(scan, key=lambda row: row["lambda_noise"])
    # Eight probes of the same matrix: 28 pairs, λ² good to √(2/28).
    assert best["lambda"] == pytest.approx(result.rows[0]["lambda"], rel=4 * np.sqrt(2 / 28) / 2)
    asked = run(Swarm(), [atoms_of()], context, method="finite-difference", scan_step=True, step_A=0.003)
    assert asked.rows[0]["step_A"] == 0.003


class Sibling(Swarm):
    """Direct forces whose conservative mode has a nonzero λ: enlarged rounding errors."""

    def __init__(self, reading: float) -> None:
        super().__init__()
        self.card = card("pair", differentiable=True, force_modes=tuple(ForceMode))
        self.reading = reading

    def sibling(self, mode):
        if mode is ForceMode.DIRECT:
            return self
        options = (("kappa", str(self.reading)), ("k", "1.0"))
        return load_forcefield(ModelRequest(spec="analytic-solenoidal", options=options))


@pytest.mark.parametrize("method", ["exact", "stochastic", "finite-difference"])
@pytest.mark.parametrize("reading", [1e-3, 0.9])
def test_the_floor_equals_the_lambda_of_the_conservative_mode(method, reading, context):
    atoms = atoms_of()
    atoms.arrays["sites"] = atoms.positions.copy()
    row = row_of(Sibling(reading), atoms, context, method=method, probes=32)
    expected = np.sqrt(2 * reading**2 / (3 + 2 * reading**2))
    # Two probes, or the six pairs of four: only the order of magnitude is required.
    assert row["lambda_floor"] == pytest.approx(expected, rel=0.9)
    assert row["floor_from"] == "analytic-solenoidal:direct"
    assert row["above_floor"] == (reading < 0.1)
    alone = row_of(Sibling(reading), atoms, context, method=method, probes=32, sibling_floor=False)
    assert alone["lambda_floor"] < 1e-6
    assert alone["floor_from"].startswith("rounding")


@needs_pet
def test_the_floor_of_a_learned_model_follows_its_precision(context):
    water = Atoms("OHH", positions=[[0, 0, 0.1], [0, 0.77, -0.47], [0, -0.75, -0.5]])
    row = row_of(load_forcefield(ModelRequest(spec="pet-m:direct")), water, context)
    assert row["above_floor"]
    # Float32: 1.2e-7, some ten times over in the sums of a network.
    assert 1e-8 < row["lambda_floor"] < 1e-5


def test_probes_do_not_change_the_random_state_of_torch(context):
    before = torch.random.get_rng_state()
    row_of(Swarm(), atoms_of(), context, method="stochastic")
    assert torch.equal(torch.random.get_rng_state(), before)
