"""MatterSim through its own ASE calculator. Untried: written after the package's documentation."""

from __future__ import annotations

from mattersim.forcefield import MatterSimCalculator

from ncbench.models.interface import ForceField
from ncbench.models.packaged import Packaged, Wanted, load_packaged
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.types import ModelRequest


def make(wanted: Wanted) -> Packaged:
    """The calculator of a released model or of a user's file."""
    path = str(wanted.checkpoint or wanted.source)
    calculator = MatterSimCalculator(load_path=path, device=wanted.device)
    cutoff_A = float(calculator.potential.model.model_args["cutoff"])
    return Packaged(calculator=calculator, cutoff_A=cutoff_A, checkpoint=wanted.checkpoint, vacuum_A=cutoff_A)


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """See :func:`ncbench.models.packaged.load_packaged`."""
    return load_packaged(
        request,
        parsed,
        row,
        make=make,
        distributions=(
            "mattersim",
            "torch",
        ),
    )
