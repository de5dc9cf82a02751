"""Batched relaxations against single ones and against plain ASE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.emt import EMT
from ase.optimize import FIRE, LBFGS
from known_fields import CalculatorField, Well, WellField, card

from ncbench.md.run import WARM_UP_CALLS
from ncbench.models.interface import Evaluation, Field, FieldOutput, ForceField
from ncbench.models.loading import load_forcefield
from ncbench.relaxation.batch import KEPT, relax, relax_many
from ncbench.relaxation.relaxation import Ending, Relaxation, Start, displaced_start
from ncbench.structures.water import water_molecule
from ncbench.types import ModelRequest

ASE = {"lbfgs": LBFGS, "fire": FIRE}


class Metal(ForceField):
    """EMT, structure by structure, so that no replica depends on its batch; records the number of structures in each call.

    The first calls of each size warm it up.
    """

    def __init__(self) -> None:
        self.card = card("emt")
        self.asked: list[int] = []

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        owner = self

        class Counted(CalculatorField):
            def __call__(self, positions: torch.Tensor) -> FieldOutput:
                owner.asked.append(len(positions))
                return super().__call__(positions)

        return Counted(structures, EMT())

    def _evaluate(self, structures: Any, *, stress: bool) -> list[Evaluation]:
        raise AssertionError("relaxation binds")


def clusters(count: int) -> list[Start]:
    """Copper clusters of 4 and 6 atoms, each for both optimisers."""
    rng = np.random.default_rng(0)
    grid = 2.5 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1]], dtype=float)
    atoms = [
        Atoms(f"Cu{size}", positions=grid[:size] + 0.15 * rng.normal(size=(size, 3)))
        for size in (4, 6)
        for _ in range(count)
    ]
    return [Start(one, optimizer) for optimizer in ASE for one in atoms]


def all_of(forcefield: ForceField, starts: Sequence[Start], **settings: Any) -> list[Relaxation]:
    result = dict(relax_many(forcefield, starts, **settings))
    assert sorted(result) == list(range(len(starts)))
    return [result[number] for number in range(len(starts))]


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_each_relaxation_follows_plain_ase(batch: int | None) -> None:
    starts = clusters(2)
    model = Metal()
    outcome = all_of(model, starts, fmax=1e-3, max_steps=100, batch=batch)
    for start, computed in zip(starts, outcome, strict=True):
        plain = start.atoms.copy()
        plain.calc = EMT()
        optimiser = ASE[start.optimizer](plain, logfile=None)
        converged = optimiser.run(fmax=1e-3, steps=100)
        assert (computed.ending is Ending.CONVERGED) == converged
        assert computed.steps == optimiser.nsteps
        # Forces of one structure come from the same calls in the same order: the same bits.
        assert np.array_equal(computed.positions, plain.positions)
        assert computed.energy == plain.get_potential_energy()
        assert computed.force_calls == computed.steps + 1
    assert {result.ending for result in outcome} >= {Ending.CONVERGED}
    room = batch or 4
    # Two sizes of four relaxations each.
    assert sum(model.asked) == sum(result.force_calls for result in outcome) + 2 * WARM_UP_CALLS * room
    assert max(model.asked) == room


def test_one_batched_step_is_one_force_call() -> None:
    starts = [start for start in clusters(4) if len(start.atoms) == 4]
    model = Metal()
    outcome = all_of(model, starts, fmax=1e-3, max_steps=200)
    # All eight fit: the calls are the rounds of the longest.
    assert len(model.asked) == max(result.steps for result in outcome) + 1 + WARM_UP_CALLS
    assert model.asked[0] == 8


def test_a_finished_relaxation_is_replaced_in_the_batch() -> None:
    starts = [start for start in clusters(4) if len(start.atoms) == 4]
    model = Metal()
    outcome = all_of(model, starts, fmax=1e-3, max_steps=200, batch=2)
    # Two at a time until the last is alone: never more rounds than the two longest together.
    assert set(model.asked) <= {1, 2}
    alone = model.asked.count(1)
    assert alone <= max(result.steps for result in outcome) + 1
    assert sum(model.asked[WARM_UP_CALLS:]) == sum(result.force_calls for result in outcome)


class Small(Well):
    """A device with memory for so many replicas of the well."""

    def __init__(self, room: int) -> None:
        super().__init__(kappa=0.3)
        self.room, self.refused, self.sizes = room, 0, set[int]()

    def _bind(self, structures: Sequence[Atoms]) -> WellField:
        owner = self

        class Limited(WellField):
            def __call__(self, positions: torch.Tensor) -> FieldOutput:
                if len(positions) > owner.room:
                    owner.refused += 1
                    raise torch.OutOfMemoryError("out of memory")
                owner.sizes.add(len(positions))
                return super().__call__(positions)

        return Limited(structures, self.k, self.kappa)


def wells(count: int) -> list[Start]:
    molecule = water_molecule()
    molecule.set_array("sites", molecule.get_positions())
    return [
        Start(displaced_start(molecule, 0.3, np.random.default_rng([1, number]))[0], optimizer)
        for number in range(count)
        for optimizer in ASE
    ]


def test_a_batch_too_large_for_the_memory_is_halved() -> None:
    whole = all_of(Well(kappa=0.3), wells(5), fmax=1e-5, max_steps=300)
    small = Small(2)
    result = all_of(small, wells(5), fmax=1e-5, max_steps=300, batch=10)
    # 10 → 5 → 3 → 2, and then no further reduction.
    assert (small.refused, small.sizes) == (3, {1, 2})
    for one, other in zip(whole, result, strict=True):
        assert np.array_equal(one.history, other.history)
        assert one.force_calls == other.force_calls
    with pytest.raises(torch.OutOfMemoryError):
        all_of(Small(0), wells(2), fmax=1e-5, max_steps=300)


class Torn(ForceField):
    """A well whose forces are NaN for structures that start beyond x = 5 Å."""

    def __init__(self) -> None:
        self.card = card("torn")

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        class Here(WellField):
            def __call__(self, positions: torch.Tensor) -> FieldOutput:
                assert torch.isfinite(positions).all()
                out = super().__call__(positions)
                lost = (positions[:, :, 0] > 5.0).any(dim=1)
                return FieldOutput(out.energy, torch.where(lost[:, None, None], torch.nan, out.forces))

        return Here(structures, 5.0, 0.0)

    def _evaluate(self, structures: Any, *, stress: bool) -> list[Evaluation]:
        raise AssertionError("relaxation binds")


def test_a_diverged_relaxation_does_not_change_others() -> None:
    starts = wells(3)
    away = starts[2].atoms.copy()
    away.positions[:, 0] += 10.0
    starts[2] = Start(away, "fire")
    outcome = all_of(Torn(), starts, fmax=1e-5, max_steps=300)
    assert [result.ending for result in outcome] == [
        Ending.EXPLODED if number == 2 else Ending.CONVERGED for number in range(6)
    ]
    for number, result in enumerate(outcome):
        if number != 2:
            alone = relax(Well(), starts[number].atoms, starts[number].optimizer, fmax=1e-5, max_steps=300)
            assert np.array_equal(result.history, alone.history)


def test_overlapping_atoms_are_a_result_and_not_an_error() -> None:
    """A batch is bound again when a relaxation ends; structures distorted by forces must not be refused then."""
    together = Atoms("H2", positions=[[0.0, 0, 0], [0.0, 0, 1.0]])
    together.set_array("sites", np.array([[0.0, 0, 0.5], [0.0, 0, 0.5]]))
    early = Atoms("H2", positions=[[0.0, 0, 0.0], [0.0, 0, 1.0]])
    early.set_array("sites", early.get_positions())
    early.positions[0, 2] += 1e-3
    outcome = all_of(Well(), [Start(together, "fire"), Start(early, "fire")], fmax=1e-6, max_steps=500)
    assert outcome[1].steps < outcome[0].steps
    assert {result.ending for result in outcome} == {Ending.CONVERGED}
    assert np.linalg.norm(outcome[0].positions[0] - outcome[0].positions[1]) < 1e-6


def test_the_path_is_kept_when_requested() -> None:
    starts = wells(2)
    result = all_of(Well(kappa=0.3), starts, fmax=1e-5, max_steps=300, keep_path=lambda number: number == 1)
    assert result[0].path.size == 0
    kept = result[1]
    assert kept.path_steps[0] == 0
    assert kept.path_steps[-1] == kept.steps
    assert set(kept.path_steps[:-1].tolist()) <= KEPT
    assert len(kept.path) == len(kept.path_steps) > 10
    assert np.array_equal(kept.path[0], starts[1].atoms.positions)
    assert np.array_equal(kept.path[-1], kept.positions)


def test_history_holds_largest_and_mean_force_and_energy() -> None:
    (start, *_) = wells(1)
    result = relax(Well(), start.atoms, "lbfgs", fmax=1e-5, max_steps=300)
    u = start.atoms.positions - start.atoms.arrays["sites"]
    norms = 5.0 * np.linalg.norm(u, axis=1)
    expected = [norms.max(), np.sqrt(np.mean(norms**2)), 2.5 * (u**2).sum()]
    assert result.history[0] == pytest.approx(expected, rel=1e-12)
    assert result.history.shape == (result.steps + 1, 3)


def test_progress_is_reported() -> None:
    message: list[float] = []
    starts = wells(3)
    all_of(Well(), starts, fmax=1e-5, max_steps=300, batch=2, report=lambda done, note: message.append(done))
    assert message[-1] == len(starts)
    assert min(message) >= 0.0


@pytest.mark.models("metatomic")
@pytest.mark.parametrize("mode", ["direct", "conservative"])
def test_a_model_relaxes_identically_in_a_batch(mode: str) -> None:
    model = load_forcefield(ModelRequest(spec=f"pet-m:{mode}", dtype="float64"))
    rng = np.random.default_rng(3)
    starts = [Start(displaced_start(water_molecule(), 0.1, rng)[0], optimizer) for _ in range(3) for optimizer in ASE]
    together = all_of(model, starts, fmax=1e-5, max_steps=10)
    alone = all_of(model, starts, fmax=1e-5, max_steps=10, batch=1)
    for one, other in zip(together, alone, strict=True):
        assert one.steps == other.steps
        # Sums in another order differ by a few 1e-15 eV/Å, and far from its minimum an optimiser loses a digit in three steps.
        assert np.abs(one.history[:, 0] - other.history[:, 0]).max() < 1e-10
