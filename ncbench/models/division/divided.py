"""A force field whose batches are divided among this process and helper processes, one thread each.

Results are those of smaller batches on one thread: they differ from those of the whole batch by the rounding of the model, whose sums have another
order. A single structure is evaluated by this process alone with all of its threads.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ncbench.models.division.connection import Helper
from ncbench.models.division.served import Variant
from ncbench.models.interface import Evaluation, Field, FieldOutput, ForceField, Linearization, MixedField
from ncbench.types import ForceMode, ModelRequest

FloatArray = NDArray[np.float64]
T = TypeVar("T")


class DividedForceField(ForceField):
    """A model of this process and the same model in helpers, among which every batch is divided."""

    def __init__(self, whole: ForceField, request: ModelRequest, helpers: Sequence[Helper]) -> None:
        """Divide a model.

        Args:
            whole: the model of this process.
            request: what it was loaded from.
            helpers: processes that have loaded it, or load it when it is first used.
        """
        self.whole, self.helpers = whole, tuple(helpers)
        self._variant: Variant = (request, ())
        self.card = replace(whole.card, processes=1 + len(self.helpers))

    def _evaluate(self, structures: Sequence[Atoms], *, stress: bool) -> list[Evaluation]:
        parts = _parts(len(structures), len(self.helpers) + 1)
        if len(parts) == 1:
            return self.whole._evaluate(structures, stress=stress)  # noqa: SLF001 - of the same class
        tasks = [
            (helper, "evaluate", (self._variant, structures[part], stress))
            for helper, part in zip(self.helpers, parts[1:], strict=False)
        ]
        own = structures[parts[0]]
        return [
            one
            for results in _together(lambda: self.whole._evaluate(own, stress=stress), tasks)  # noqa: SLF001 - as above
            for one in results
        ]

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        parts = _parts(len(structures), len(self.helpers) + 1)
        if len(parts) == 1:
            return self.whole._bind(structures)  # noqa: SLF001 - of the same class
        return _DividedField(self, self._variant, structures, parts)

    def bind_mixed(self, structures: Sequence[Atoms]) -> MixedField:
        """See :class:`ncbench.models.interface.ForceField`."""
        self.check(structures)
        if len(structures) < 2:
            return self.whole.bind_mixed(structures)
        return _DividedMixedField(self, self._variant, structures)

    def sibling(self, mode: ForceMode) -> ForceField:
        """See :class:`ncbench.models.interface.ForceField`."""
        return self if mode is self.card.force_mode else self._derived(self.whole.sibling(mode), "sibling", mode)

    def without_net_force_removal(self) -> ForceField:
        """See :class:`ncbench.models.interface.ForceField`."""
        whole = self.whole.without_net_force_removal()
        return self if whole is self.whole else self._derived(whole, "without_net_force_removal")

    def jacobian_in_one(self, atoms: Atoms) -> bool:
        """See :class:`ncbench.models.interface.ForceField`."""
        return self.whole.jacobian_in_one(atoms)

    def ase_calculator(self) -> object | None:
        """See :class:`ncbench.models.interface.ForceField`."""
        return self.whole.ase_calculator()

    def _derived(self, whole: ForceField, *step: Any) -> DividedForceField:
        request, steps = self._variant
        derived = DividedForceField(whole, request, self.helpers)
        derived._variant = (request, (*steps, step))
        return derived


class _DividedField(Field):
    """The first replicas in this process, the others in helpers."""

    def __init__(
        self, owner: DividedForceField, variant: Variant, structures: Sequence[Atoms], parts: Sequence[slice]
    ) -> None:
        super().__init__(structures, torch.device("cpu"))
        self.parts = parts
        self.helpers = owner.helpers[: len(parts) - 1]
        self.numbers = [_numbered(self, helper) for helper in self.helpers]
        tasks = [
            (helper, "bind", (number, variant, structures[part]))
            for helper, number, part in zip(self.helpers, self.numbers, parts[1:], strict=True)
        ]
        self.own: Field = _together(lambda: owner.whole._bind(structures[parts[0]]), tasks)[0]  # noqa: SLF001 - bound for the owner

    def __call__(self, positions: torch.Tensor) -> FieldOutput:
        """See :class:`ncbench.models.interface.Field`."""
        own, *others = self._all("call", self.own, positions)
        return _joined([own, *(_output(one) for one in others)])

    def with_direct_forces(self, positions: torch.Tensor) -> tuple[FieldOutput, torch.Tensor] | None:
        """See :class:`ncbench.models.interface.Field`."""
        results = self._all("with_direct_forces", self.own.with_direct_forces, positions)
        if any(one is None for one in results):
            return None
        own, *others = results
        outputs = [own[0], *(_output(one[0]) for one in others)]
        return _joined(outputs), torch.cat([own[1], *(torch.from_numpy(one[1]) for one in others)])

    def stress_gradients(self, positions: torch.Tensor) -> torch.Tensor:
        """See :class:`ncbench.models.interface.Field`."""
        own, *others = self._all("stress_gradients", self.own.stress_gradients, positions)
        return torch.cat([own, *map(torch.from_numpy, others)])

    def linearize(self, positions: torch.Tensor) -> Linearization:
        """See :class:`ncbench.models.interface.Field`."""
        return _DividedLinearization(self, positions)

    def _all(self, name: str, own: Callable[[torch.Tensor], Any], positions: torch.Tensor) -> list[Any]:
        """Results of all parts at ``positions`` [R, N, 3], that of this process first."""
        at = _array(positions)
        tasks = [
            (helper, name, (number, at[part]))
            for helper, number, part in zip(self.helpers, self.numbers, self.parts[1:], strict=True)
        ]
        return _together(lambda: own(positions[self.parts[0]]), tasks)


class _DividedMixedField(MixedField):
    """Structures of any sizes, about as many atoms in each process."""

    def __init__(self, owner: DividedForceField, variant: Variant, structures: Sequence[Atoms]) -> None:
        self.shares = shares_of([len(atoms) for atoms in structures], len(owner.helpers) + 1)
        self.helpers = owner.helpers[: len(self.shares) - 1]
        self.numbers = [_numbered(self, helper) for helper in self.helpers]
        tasks = [
            (helper, "bind_mixed", (number, variant, [structures[index] for index in share]))
            for helper, number, share in zip(self.helpers, self.numbers, self.shares[1:], strict=True)
        ]
        first = [structures[index] for index in self.shares[0]]
        self.own: MixedField = _together(lambda: owner.whole.bind_mixed(first), tasks)[0]

    def __call__(self, positions: Sequence[FloatArray]) -> list[tuple[float, FloatArray]]:
        tasks = [
            (helper, "call_mixed", (number, [positions[index] for index in share]))
            for helper, number, share in zip(self.helpers, self.numbers, self.shares[1:], strict=True)
        ]
        first = [positions[index] for index in self.shares[0]]
        results: dict[int, tuple[float, FloatArray]] = {}
        for share, values in zip(self.shares, _together(lambda: self.own(first), tasks), strict=True):
            results |= zip(share, values, strict=True)
        return [results[index] for index in range(len(positions))]


class _DividedLinearization(Linearization):
    """Products of the parts of a batch."""

    def __init__(self, field: _DividedField, positions: torch.Tensor) -> None:
        # The field is kept: its replicas in the helpers are released with it.
        self.field = field
        self.numbers = [_numbered(self, helper) for helper in field.helpers]
        at = _array(positions)
        tasks = [
            (helper, "linearize", (number, of, at[part]))
            for helper, number, of, part in zip(
                field.helpers, self.numbers, field.numbers, field.parts[1:], strict=True
            )
        ]
        own, *forces = _together(lambda: field.own.linearize(positions[field.parts[0]]), tasks)
        self.own: Linearization = own
        self.forces = torch.cat([own.forces, *map(torch.from_numpy, forces)])

    def vjp(self, cotangents: torch.Tensor) -> torch.Tensor:
        return self._product("vjp", self.own.vjp, cotangents)

    def jvp(self, tangents: torch.Tensor) -> torch.Tensor:
        return self._product("jvp", self.own.jvp, tangents)

    def _product(self, name: str, own: Callable[[torch.Tensor], torch.Tensor], vectors: torch.Tensor) -> torch.Tensor:
        field, all_vectors = self.field, _array(vectors)
        tasks = [
            (helper, name, (number, all_vectors[part]))
            for helper, number, part in zip(field.helpers, self.numbers, field.parts[1:], strict=True)
        ]
        first, *others = _together(lambda: own(vectors[field.parts[0]]), tasks)
        return torch.cat([first, *map(torch.from_numpy, others)])


def _parts(count: int, processes: int) -> list[slice]:
    """Consecutive parts of almost equal size, at most one per process; the first, of the process that also does the rest of the work, is a smallest."""
    shares = max(1, min(count, processes))
    ends = [count * (share + 1) // shares for share in range(shares)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def shares_of(sizes: Sequence[int], processes: int) -> list[list[int]]:
    """Indices of structures by process, in the order of their sizes, with about as many atoms each: those of equal size are then mostly together.

    Each structure goes to the process in whose part of all atoms its middle is; a process without any is left out.
    """
    total, before = sum(sizes), 0
    shares: list[list[int]] = [[] for _ in range(processes)]
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index]):
        shares[int(processes * (before + 0.5 * sizes[index]) / total)].append(index)
        before += sizes[index]
    return [share for share in shares if share]


def _together(own: Callable[[], T], tasks: Sequence[tuple[Helper, str, tuple[Any, ...]]]) -> list[Any]:
    """Results of this process, on one thread, and of the helpers, computed at the same time."""
    asked = [(helper, helper.ask(name, *arguments)) for helper, name, arguments in tasks]
    with one_thread():
        mine = own()
    return [mine, *(helper.answer(number) for helper, number in asked)]


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch for the work of this process, whose other cores the helpers use. Setting it takes less than a microsecond."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _numbered(owner: object, helper: Helper) -> int:
    """A number of the helper's, released there once ``owner`` is."""
    number = helper.new_number()
    weakref.finalize(owner, helper.release, number)
    return number


def _array(tensor: torch.Tensor) -> FloatArray:
    return np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float64)


def _output(arrays: tuple[FloatArray, FloatArray]) -> FieldOutput:
    return FieldOutput(torch.from_numpy(arrays[0]), torch.from_numpy(arrays[1]))


def _joined(outputs: Sequence[FieldOutput]) -> FieldOutput:
    return FieldOutput(torch.cat([one.energy for one in outputs]), torch.cat([one.forces for one in outputs]))
