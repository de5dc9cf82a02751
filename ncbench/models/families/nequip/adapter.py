"""NequIP and Allegro through their own ASE calculator. Untried: written after the package's documentation."""

from __future__ import annotations

from nequip.ase import NequIPCalculator

from ncbench.errors import WeightsError
from ncbench.models.interface import ForceField
from ncbench.models.packaged import Packaged, Wanted, load_packaged
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.types import ModelRequest


def make(wanted: Wanted) -> Packaged:
    """The calculator of a compiled model."""
    if wanted.checkpoint is None:
        raise WeightsError(
            "A NequIP or Allegro is loaded from a compiled model.",
            hint="Compile one with `nequip-compile --target ase`, and add --checkpoint FILE --trust-checkpoint.",
        )
    calculator = NequIPCalculator.from_compiled_model(str(wanted.checkpoint), device=wanted.device)
    return Packaged(calculator=calculator, checkpoint=wanted.checkpoint)


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """See :func:`ncbench.models.packaged.load_packaged`."""
    return load_packaged(
        request,
        parsed,
        row,
        make=make,
        distributions=(
            "nequip",
            "torch",
        ),
    )
