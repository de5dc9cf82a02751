"""Nequix through its own ASE calculator, by JAX. Untried: written after the package's documentation."""

from __future__ import annotations

from nequix.calculator import NequixCalculator

from ncbench.models.interface import ForceField
from ncbench.models.packaged import Packaged, Wanted, load_packaged
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.types import ModelRequest


def make(wanted: Wanted) -> Packaged:
    """The calculator of a released model or of a user's file (.nqx)."""
    path = None if wanted.checkpoint is None else str(wanted.checkpoint)
    calculator = NequixCalculator(model_name=wanted.source, model_path=path, backend="jax", use_kernel=False)
    config = calculator.config
    return Packaged(
        calculator=calculator,
        elements=frozenset(int(number) for number in config["atomic_numbers"]),
        cutoff_A=float(config["cutoff"]),
        layers=int(config["n_layers"]),
        checkpoint=wanted.checkpoint,
    )


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """See :func:`ncbench.models.packaged.load_packaged`."""
    return load_packaged(
        request,
        parsed,
        row,
        make=make,
        distributions=(
            "nequix",
            "jax",
        ),
    )
