"""Energies of isolated atoms, taken out of a metatrain model so that they can be added in float64.

With all-electron references a structure's energy reaches -10⁵ eV, where float32 resolves no better than 1/64 eV: differences of
energies along a trajectory would be steps of that size. What is left in the model are interactions.
"""

from __future__ import annotations

import torch
from metatomic.torch import AtomisticModel

MODULE = "CompositionModel"
"""metatrain's model of an energy as a sum over species."""


def take_out(model: AtomisticModel) -> dict[int, float]:
    """Energies (eV) by atomic number, which ``model`` no longer adds to its output ``energy``.

    Empty, and the model unchanged, where it has no such sum or keeps it in another way.
    """
    capabilities = model.capabilities()
    if "energy" not in capabilities.outputs or capabilities.outputs["energy"].unit not in ("eV", ""):
        return {}
    for part in getattr(model.module, "additive_models", torch.nn.ModuleList()).children():
        if getattr(part, "original_name", type(part).__name__) != MODULE:
            continue
        weights = getattr(part.model, "weights", {})
        if "energy" not in weights or len(weights["energy"].keys) != 1:
            continue
        block = weights["energy"].block(0)
        if block.samples.names != ["center_type"] or tuple(block.values.shape[1:]) != (1,):
            continue
        energies = block.values[:, 0].double().tolist()
        # The maps of a loaded model are shared with its code: what is written here is what it adds.
        block.values.zero_()
        return dict(zip(block.samples.column("center_type").tolist(), energies, strict=True))
    return {}
