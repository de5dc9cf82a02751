"""Models of deepmd-kit through their own ASE calculator. Untried: written after the package's documentation."""

from __future__ import annotations

from deepmd.calculator import DP

from ncbench.errors import WeightsError
from ncbench.models.interface import ForceField
from ncbench.models.packaged import Packaged, Wanted, load_packaged
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.types import ModelRequest


def make(wanted: Wanted) -> Packaged:
    """The calculator of a model file."""
    if wanted.checkpoint is None:
        raise WeightsError(
            "A DPA-3 is loaded from a model file.",
            hint="Fetch one from its authors' page, and add --checkpoint FILE --trust-checkpoint.",
        )
    head = {"head": wanted.options["head"]} if "head" in wanted.options else {}
    return Packaged(calculator=DP(str(wanted.checkpoint), **head), checkpoint=wanted.checkpoint, options=head)


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """See :func:`ncbench.models.packaged.load_packaged`."""
    return load_packaged(request, parsed, row, make=make, distributions=("deepmd-kit",))
