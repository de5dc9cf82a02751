"""What a helper process computes: models, bound fields and linearisations by number, from and to NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ncbench import memory
from ncbench.models.interface import Evaluation, Field, FieldOutput, ForceField, Linearization, MixedField
from ncbench.models.loading import load_forcefield
from ncbench.types import ModelRequest

FloatArray = NDArray[np.float64]
Variant = tuple[ModelRequest, tuple[tuple[str, ...], ...]]
"""A model: the request, and the methods with their arguments that lead from the loaded model to it, such as ``("sibling", "direct")``."""


class Served:
    """The objects of one helper process. Methods are requests of :class:`ncbench.models.division.connection.Helper`."""

    def __init__(self) -> None:
        self._models: dict[Variant, ForceField] = {}
        self._kept: dict[int, Field | Linearization | MixedField] = {}

    def load(self, variant: Variant) -> None:
        """Load a model, unless it is loaded already."""
        self._model(variant)

    def resident(self) -> int:
        """Resident memory of the process, bytes."""
        return memory.resident()

    def kept(self) -> int:
        """Number of fields and linearisations."""
        return len(self._kept)

    def bind(self, number: int, variant: Variant, structures: Sequence[Atoms]) -> None:
        """Bind structures, which the parent has checked, as field ``number``."""
        self._kept[number] = self._model(variant)._bind(structures)  # noqa: SLF001 - checked there

    def bind_mixed(self, number: int, variant: Variant, structures: Sequence[Atoms]) -> None:
        """Bind structures of any sizes, which the parent has checked, as ``number``."""
        self._kept[number] = self._model(variant).bind_mixed(structures)

    def call_mixed(self, number: int, positions: Sequence[FloatArray]) -> list[tuple[float, FloatArray]]:
        """See :class:`ncbench.models.interface.MixedField`."""
        mixed = self._kept[number]
        assert isinstance(mixed, MixedField)
        return mixed(positions)

    def release(self, numbers: Iterable[int]) -> None:
        """Forget fields and linearisations."""
        for number in numbers:
            self._kept.pop(number, None)

    def call(self, number: int, positions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Energies [R] and forces [R, N, 3] of a field at ``positions`` [R, N, 3]."""
        return _arrays(self._field(number)(_tensor(positions)))

    def with_direct_forces(
        self, number: int, positions: FloatArray
    ) -> tuple[tuple[FloatArray, FloatArray], FloatArray] | None:
        """See :meth:`ncbench.models.interface.Field.with_direct_forces`."""
        both = self._field(number).with_direct_forces(_tensor(positions))
        return None if both is None else (_arrays(both[0]), both[1].numpy())

    def stress_gradients(self, number: int, positions: FloatArray) -> FloatArray:
        """See :meth:`ncbench.models.interface.Field.stress_gradients`."""
        return _array(self._field(number).stress_gradients(_tensor(positions)))

    def linearize(self, number: int, of: int, positions: FloatArray) -> FloatArray:
        """Linearise field ``of`` as ``number``; its forces [R, N, 3]."""
        linearization = self._field(of).linearize(_tensor(positions))
        self._kept[number] = linearization
        return _array(linearization.forces)

    def vjp(self, number: int, cotangents: FloatArray) -> FloatArray:
        """Jᵀv, [R, N, 3]."""
        return _array(self._linearization(number).vjp(_tensor(cotangents)))

    def jvp(self, number: int, tangents: FloatArray) -> FloatArray:
        """Ju, [R, N, 3]."""
        return _array(self._linearization(number).jvp(_tensor(tangents)))

    def evaluate(self, variant: Variant, structures: Sequence[Atoms], stress: bool) -> list[Evaluation]:
        """Results of structures, which the parent has checked."""
        return self._model(variant)._evaluate(structures, stress=stress)  # noqa: SLF001 - checked there

    def _model(self, variant: Variant) -> ForceField:
        if variant not in self._models:
            request, steps = variant
            if steps:
                name, *arguments = steps[-1]
                self._models[variant] = getattr(self._model((request, steps[:-1])), name)(*arguments)
            else:
                self._models[variant] = load_forcefield(request)
        return self._models[variant]

    def _field(self, number: int) -> Field:
        field = self._kept[number]
        assert isinstance(field, Field)
        return field

    def _linearization(self, number: int) -> Linearization:
        linearization = self._kept[number]
        assert isinstance(linearization, Linearization)
        return linearization


def _tensor(array: FloatArray) -> torch.Tensor:
    return torch.as_tensor(array, dtype=torch.float64)


def _array(tensor: torch.Tensor) -> FloatArray:
    array: Any = tensor.detach().numpy()
    return np.asarray(array, dtype=np.float64)


def _arrays(output: FieldOutput) -> tuple[FloatArray, FloatArray]:
    return _array(output.energy), _array(output.forces)
