"""What a metatomic model reads of each structure beside its atoms: total charge and spin multiplicity."""

from __future__ import annotations

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import AtomisticModel

from ncbench.errors import WeightsError
from ncbench.models.options import charge_and_spin
from ncbench.types import ModelRequest

_INPUTS = {"charge": "charge", "spin_multiplicity": "spin"}
"""Name of the input → option."""


def of_request(request: ModelRequest, model: AtomisticModel, label: str, file: str) -> dict[str, int]:
    """Values of the inputs that the model requests, by the names of the options (``charge``, ``spin``).

    Raises:
        UsageError: an option is not a whole number, or is typed for a model that does not read it.
        WeightsError: the model requests another input.
    """
    requested = model.requested_inputs(use_new_names=True)
    other = {name for name, about in requested.items() if name not in _INPUTS or about.sample_kind != "system"}
    if other:
        raise WeightsError(
            f"'{file}' needs {', '.join(sorted(other))} of each structure or atom, which ncbench does not have."
        )
    values = charge_and_spin(request, label, reads=bool(requested))
    return {option: values[option] for name, option in _INPUTS.items() if name in requested}


def tensors(values: dict[str, int], dtype: torch.dtype, device: torch.device) -> dict[str, TensorMap]:
    """The values as data of a metatomic system."""
    return {
        name: TensorMap(
            Labels.range("_", 1).to(device),
            [
                TensorBlock(
                    values=torch.tensor([[values[option]]], dtype=dtype, device=device),
                    samples=Labels.range("system", 1).to(device),
                    components=[],
                    properties=Labels.range(name, 1).to(device),
                )
            ],
        )
        for name, option in _INPUTS.items()
        if option in values
    }
