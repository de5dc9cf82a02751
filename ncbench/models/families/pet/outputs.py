"""Names of a metatomic model's outputs, and the same outputs in another precision."""

from __future__ import annotations

import warnings

import torch
from metatomic.torch import AtomisticModel, ModelCapabilities

DIRECT_OUTPUTS = ("non_conservative_force", "non_conservative_forces")
"""The force head's name, new and old."""
STRESS_OUTPUT = "non_conservative_stress"
"""The stress head's name."""


def cast(model: AtomisticModel, dtype: str) -> AtomisticModel:
    """The same weights in another precision.

    An export of float32 weights run in float64 computes the same function with a rounding error of 1e-16 in place of 1e-7, which
    a noise floor or a difference quotient needs.
    """
    old = model.capabilities()
    outputs = {name: out for name, out in old.outputs.items() if name in ("energy", STRESS_OUTPUT)}
    inner = getattr(model.module, "outputs", old.outputs)
    for name in reversed(DIRECT_OUTPUTS):
        # A loaded model lists the head under its new and its old name. After wrapping, it accepts only one of the two: the name that
        # metatrain gave the target, which was the old one for a long time.
        if name in old.outputs and name in inner:
            outputs[name] = old.outputs[name]
            break
    capabilities = ModelCapabilities(
        outputs=outputs,
        atomic_types=old.atomic_types,
        interaction_range=old.interaction_range,
        length_unit=old.length_unit,
        supported_devices=old.supported_devices,
        dtype=dtype,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AtomisticModel(model.module.to(getattr(torch, dtype)).eval(), model.metadata(), capabilities)
