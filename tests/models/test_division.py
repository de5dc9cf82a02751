"""Batches divided between this process and a helper: equal results, nothing of a structure lost, errors passed on, and no process left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.constraints import FixAtoms

from ncbench.errors import HelperError, UnsupportedError
from ncbench.jacobian.dense import exact
from ncbench.jacobian.probes import product_probes
from ncbench.jacobian.settings import LambdaSettings, fitting_batch
from ncbench.md.ensemble import default_batch
from ncbench.models.conformance import run_conformance
from ncbench.models.division.connection import Helper
from ncbench.models.division.divided import DividedForceField, _parts, one_thread, shares_of
from ncbench.models.loading import load_forcefield
from ncbench.relaxation.batch import relax_many
from ncbench.relaxation.relaxation import Ending, Start
from ncbench.structures.load import load_cases
from ncbench.structures.water import water_box
from ncbench.types import ForceMode, ModelRequest, SystemRequest

READS_EVERYTHING = '''
import os
import numpy as np
from ase.calculators.calculator import Calculator, all_changes

class Reader(Calculator):
    """An energy and forces of all that a structure holds; raises and dies on request."""

    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if atoms.info.get("raise"):
            raise Strange("a", "b")
        if atoms.info.get("exit"):
            os._exit(7)
        weights = atoms.get_masses() + 10.0 * atoms.arrays["marks"] + 100.0 * atoms.get_initial_magnetic_moments()
        charge = atoms.info["charge"] + 0.1 * atoms.info["spin"] + 0.01 * atoms.cell.volume * atoms.pbc.all()
        self.results = {
            "energy": charge + float((weights[:, None] * atoms.positions**2).sum()),
            "forces": -2.0 * weights[:, None] * atoms.positions * charge,
            "stress": np.arange(6.0) + charge,
        }

class Strange(ValueError):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two} are refused")

def make():
    return Reader()
'''


@pytest.fixture(scope="module")
def helper() -> Iterator[Helper]:
    started = Helper()
    yield started
    started.close()


def divided_and_whole(helper: Helper, spec: str, **request) -> tuple[DividedForceField, object]:
    asked = ModelRequest(spec=spec, **request)
    whole = load_forcefield(asked)
    return DividedForceField(whole, asked, [helper]), whole


def liquid(spec: str) -> Atoms:
    named = {"analytic-lj": "argon", "analytic-solenoidal": "harmonic-crystal", "sevennet-0": "water-molecule"}
    name = named.get(spec, "water8")
    return load_cases(SystemRequest(name=name), 1, 0)[0].atoms


def displaced(atoms: Atoms, replicas: int) -> torch.Tensor:
    moves = np.random.default_rng(0).normal(scale=0.05, size=(replicas, len(atoms), 3))
    return torch.as_tensor(atoms.positions + moves)


def rounding(forces: torch.Tensor, dtype: str) -> float:
    """Sums of about a hundred terms in another order: a hundred roundings of the largest."""
    return 100.0 * float(np.finfo(dtype).eps) * float(forces.abs().max())


@pytest.mark.parametrize(
    "spec", ["analytic-lj", "analytic-solenoidal", "pet-m:direct", "pet-m:conservative", "sevennet-0"]
)
@pytest.mark.parametrize("replicas", [2, 3])
def test_energies_forces_and_products_are_those_of_the_whole_batch(helper: Helper, spec: str, replicas: int) -> None:
    if spec == "sevennet-0":
        pytest.importorskip("sevenn")
    divided, whole = divided_and_whole(helper, spec)
    atoms = liquid(spec)
    positions = displaced(atoms, replicas)
    shared, together = divided.bind([atoms] * replicas), whole.bind([atoms] * replicas)
    one, other = shared(positions), together(positions)
    tolerance = rounding(other.forces, whole.card.dtype)
    assert torch.allclose(one.forces, other.forces, rtol=0.0, atol=tolerance)
    assert torch.allclose(one.energy, other.energy, rtol=100 * float(np.finfo(whole.card.dtype).eps), atol=0.0)
    assert divided.card.processes == 2
    products, expected = shared.linearize(positions), together.linearize(positions)
    assert torch.allclose(products.forces, other.forces, rtol=0.0, atol=tolerance)
    vectors = torch.as_tensor(np.random.default_rng(1).normal(size=positions.shape))
    for name in ("vjp", "jvp", "vjp"):
        mine, theirs = getattr(products, name)(vectors), getattr(expected, name)(vectors)
        # Second derivatives add as many terms again.
        assert torch.allclose(mine, theirs, rtol=0.0, atol=10 * rounding(theirs, whole.card.dtype))


@pytest.mark.parametrize("spec", ["pet-m:direct", "pet-m:conservative"])
def test_a_divided_model_conforms_to_the_interface(helper: Helper, spec: str) -> None:
    divided, _ = divided_and_whole(helper, spec)
    single = water_box(1, seed=2)
    single.set_pbc(False)
    single.set_cell(None)
    run_conformance(divided, [water_box(8, density_g_cm3=0.8, seed=1), single])


def test_the_other_modes_and_stresses_are_divided_too(helper: Helper) -> None:
    divided, whole = divided_and_whole(helper, "pet-m:conservative")
    atoms = liquid("pet-m")
    positions = displaced(atoms, 3)
    shared, together = divided.bind([atoms] * 3), whole.bind([atoms] * 3)
    one, other = shared.with_direct_forces(positions), together.with_direct_forces(positions)
    assert one is not None
    assert other is not None
    for mine, theirs in ((one[0].forces, other[0].forces), (one[1], other[1])):
        assert torch.allclose(mine, theirs, rtol=0.0, atol=rounding(theirs, "float32"))
    gradients = together.stress_gradients(positions)
    assert torch.allclose(
        shared.stress_gradients(positions), gradients, rtol=0.0, atol=10 * rounding(gradients, "float32")
    )
    for derive in (
        lambda model: model.sibling(ForceMode.DIRECT),
        lambda model: model.sibling(ForceMode.DIRECT).without_net_force_removal(),
    ):
        mine, theirs = derive(divided).bind([atoms] * 2)(positions[:2]), derive(whole).bind([atoms] * 2)(positions[:2])
        assert isinstance(derive(divided), DividedForceField)
        assert torch.allclose(mine.forces, theirs.forces, rtol=0.0, atol=rounding(theirs.forces, "float32"))
    assert divided.sibling(ForceMode.CONSERVATIVE) is divided


def test_everything_in_a_structure_reaches_the_helper(helper: Helper, tmp_path: Path) -> None:
    file = tmp_path / "reader.py"
    file.write_text(READS_EVERYTHING)
    divided, whole = divided_and_whole(helper, f"{file}:make")
    structures = []
    for number in range(4):
        atoms = Atoms("H2O", positions=np.random.default_rng(number).normal(size=(3, 3)) + np.arange(3)[:, None] * 2.0)
        atoms.info |= {"charge": float(number), "spin": 1.0 + number}
        atoms.set_masses([2.014, 1.008, 16.0 + number])
        atoms.set_initial_magnetic_moments([0.0, number, 1.0])
        atoms.arrays["marks"] = np.arange(3.0) * number
        atoms.set_constraint(FixAtoms([number % 3]))
        atoms.set_cell([9.0 + number, 9.0, 9.0])
        atoms.pbc = number % 2 == 1
        structures.append(atoms)
    for mine, theirs in zip(
        divided.evaluate(structures, stress=True), whole.evaluate(structures, stress=True), strict=True
    ):
        assert mine.energy == theirs.energy
        assert mine.reported_energy == theirs.reported_energy
        np.testing.assert_array_equal(mine.forces, theirs.forces)
        np.testing.assert_array_equal(mine.stress, theirs.stress)
    field, expected = divided.bind(structures), whole.bind(structures)
    positions = field.initial_positions() + 0.1
    assert torch.equal(field(positions).forces, expected(positions).forces)
    # A moved field of the same structures, and the first one after it.
    assert torch.equal(field(positions + 0.1).energy, expected(positions + 0.1).energy)


def test_an_error_of_the_model_in_the_helper_is_raised_here(helper: Helper, tmp_path: Path) -> None:
    file = tmp_path / "reader.py"
    file.write_text(READS_EVERYTHING)
    divided, _ = divided_and_whole(helper, f"{file}:make")
    good = Atoms("H", info={"charge": 0.0, "spin": 1.0})
    good.arrays["marks"] = np.ones(1)
    bad = good.copy()
    bad.info["raise"] = True
    for structures in ([good, bad], [bad, good], [bad, bad]):
        with pytest.raises(UnsupportedError, match="a and b are refused"):
            divided.evaluate(structures)
    # The helper's unread answers do not reach later requests.
    assert [one.energy for one in divided.evaluate([good, good])] == [0.1, 0.1]
    with pytest.raises(UnsupportedError, match="does not know"):
        divided_and_whole(helper, "pet-m:direct")[0].bind([Atoms("U"), Atoms("U")])


def test_not_finite_positions_give_no_numbers_in_either_part(helper: Helper) -> None:
    divided, _ = divided_and_whole(helper, "pet-m:direct")
    atoms = liquid("pet-m")
    field = divided.bind([atoms] * 4)
    positions = field.initial_positions()
    positions[[0, 3], 0, 0] = torch.nan
    output = field(positions)
    assert torch.isnan(output.forces).all(dim=2).all(dim=1).tolist() == [True, False, False, True]


def test_a_single_structure_is_not_sent_away(helper: Helper) -> None:
    divided, whole = divided_and_whole(helper, "analytic-lj")
    assert type(divided.bind([liquid("analytic-lj")])) is type(whole.bind([liquid("analytic-lj")]))


def test_fields_and_products_that_are_not_used_any_more_are_released(helper: Helper) -> None:
    divided, _ = divided_and_whole(helper, "analytic-lj")
    atoms = liquid("analytic-lj")
    before = helper.answer(helper.ask("kept"))
    field = divided.bind([atoms] * 2)
    linearization = field.linearize(field.initial_positions())
    assert helper.answer(helper.ask("kept")) == before + 2
    del field
    # The products need their field.
    assert linearization.vjp(torch.ones_like(linearization.forces)).isfinite().all()
    del linearization
    assert helper.answer(helper.ask("kept")) == before


def test_relaxations_of_any_sizes_take_the_same_steps(helper: Helper) -> None:
    divided, whole = divided_and_whole(helper, "pet-m:direct")
    rng = np.random.default_rng(2)
    starts = []
    for molecules in (1, 3, 2, 1, 4):
        atoms = water_box(molecules, seed=molecules)
        atoms.set_pbc(False)
        atoms.set_cell(None)
        atoms.rattle(0.1, rng=rng)
        starts.append(Start(atoms, "lbfgs"))
    starts[1].atoms.set_constraint(FixAtoms([0]))
    settings = {"fmax": 1e-5, "max_steps": 6}
    mine, theirs = (dict(relax_many(model, starts, **settings)) for model in (divided, whole))
    assert mine.keys() == theirs.keys() == set(range(5))
    for number in range(5):
        assert mine[number].ending is theirs[number].ending
        assert mine[number].force_calls == theirs[number].force_calls == 7
        # Six steps of L-BFGS with forces that differ by a rounding of 1e-6 eV/Å.
        np.testing.assert_allclose(mine[number].positions, theirs[number].positions, rtol=0.0, atol=1e-4)
        assert not np.allclose(mine[number].positions, starts[number].atoms.positions, rtol=0.0, atol=1e-3)
    np.testing.assert_array_equal(mine[1].positions[0], starts[1].atoms.positions[0])


def test_a_structure_that_the_model_refuses_fails_alone_among_shared_relaxations(
    helper: Helper, tmp_path: Path
) -> None:
    file = tmp_path / "reader.py"
    file.write_text(READS_EVERYTHING)
    divided, _ = divided_and_whole(helper, f"{file}:make")
    starts = []
    for number in range(4):
        atoms = Atoms("H" * (1 + number), positions=np.arange(3.0 + 3 * number).reshape(-1, 3))
        atoms.info = {"charge": 1.0, "spin": 1.0, "raise": number == 2}
        atoms.arrays["marks"] = np.ones(len(atoms))
        starts.append(Start(atoms, "lbfgs"))
    results = dict(relax_many(divided, starts, fmax=1e-3, max_steps=2))
    assert [results[number].ending is Ending.FAILED for number in range(4)] == [False, False, True, False]
    assert "a and b are refused" in results[2].failure


@pytest.mark.parametrize("sizes", [[3], [3, 3], [9, 3, 3, 3], [5, 4, 3, 2, 1], [100, 1, 1]])
def test_processes_share_structures_by_atoms(sizes: list[int]) -> None:
    shares = shares_of(sizes, 2)
    assert sorted(index for share in shares for index in share) == list(range(len(sizes)))
    atoms = [sum(sizes[index] for index in share) for share in shares]
    assert len(shares) == min(2, len(sizes))
    # No share is larger than half of all by more than a structure.
    assert max(atoms) <= sum(sizes) / 2 + max(sizes)


def test_rows_of_the_jacobian_and_probes_are_divided(helper: Helper) -> None:
    divided, whole = divided_and_whole(helper, "pet-m:direct")
    atoms = water_box(2, seed=0)
    rows, expected = (exact(model, atoms, batch=2, rng=np.random.default_rng(0)).matrix for model in (divided, whole))
    tolerance = 1000 * float(np.finfo("float32").eps) * np.abs(expected).max()
    np.testing.assert_allclose(rows, expected, rtol=0.0, atol=tolerance)
    drawn, drawn_alone = (
        product_probes(model, atoms, probes=8, target_error=None, batch=2, rng=np.random.default_rng(0))
        for model in (divided, whole)
    )
    np.testing.assert_array_equal(drawn.vectors, drawn_alone.vectors)
    assert drawn.lam == pytest.approx(drawn_alone.lam, rel=1e-5)


def test_default_batches_have_a_share_for_each_process(helper: Helper) -> None:
    divided, whole = divided_and_whole(helper, "pet-m:direct")
    atoms = liquid("pet-m")
    assert default_batch(divided, [atoms]) == 2 * default_batch(whole, [atoms])
    for products in (True, False):
        mine, theirs = (
            fitting_batch(model.card, len(atoms), LambdaSettings(), products=products) for model in (divided, whole)
        )
        assert mine == 2 * theirs
    assert fitting_batch(divided.card, len(atoms), LambdaSettings(batch=3)) == 3


def test_this_process_uses_one_thread_while_the_batch_is_divided() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("count", "processes"), [(1, 4), (2, 2), (3, 2), (7, 3), (2, 5)])
def test_every_structure_is_in_one_part(count: int, processes: int) -> None:
    parts = _parts(count, processes)
    assert [index for part in parts for index in range(count)[part]] == list(range(count))
    sizes = [len(range(count)[part]) for part in parts]
    assert len(parts) == min(count, processes)
    assert sizes[0] == min(sizes) >= max(sizes) - 1


def test_a_killed_helper_is_one_sentence() -> None:
    helper = Helper()
    # Ctrl-C in a terminal is sent to the processes of this one's session.
    assert os.getsid(helper.pid) != os.getsid(0)
    divided, _ = divided_and_whole(helper, "analytic-lj")
    field = divided.bind([liquid("analytic-lj")] * 2)
    os.kill(helper.pid, signal.SIGKILL)
    with pytest.raises(
        HelperError, match=r"signal SIGKILL, as the system does when memory runs out\. .*NCBENCH_PROCESSES=1"
    ):
        field(field.initial_positions())
    assert not helper.alive
    with pytest.raises(HelperError, match="has been ended"):
        field(field.initial_positions())


def test_a_model_that_ends_the_helper_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "reader.py"
    file.write_text(READS_EVERYTHING)
    helper = Helper()
    divided, _ = divided_and_whole(helper, f"{file}:make")
    good = Atoms("H", info={"charge": 0.0, "spin": 1.0})
    good.arrays["marks"] = np.ones(1)
    deadly = good.copy()
    deadly.info["exit"] = True
    with pytest.raises(HelperError, match="ended with exit code 7"):
        divided.evaluate([good, deadly])


def test_a_closed_helper_is_gone() -> None:
    helper = Helper()
    helper.answer(helper.ask("resident"))
    helper.close()
    began = time.monotonic()
    while Path(f"/proc/{helper.pid}").exists() and time.monotonic() - began < 5.0:
        time.sleep(0.05)
    assert not Path(f"/proc/{helper.pid}").exists()
    # Once more changes nothing.
    helper.close()
