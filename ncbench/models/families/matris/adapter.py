"""MatRIS through its own ASE calculator. Untried: written after the package's documentation."""

from __future__ import annotations

from matris.applications.base import MatRISCalculator

from ncbench.errors import WeightsError
from ncbench.models.interface import ForceField
from ncbench.models.packaged import Packaged, Wanted, load_packaged
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.types import ModelRequest


def make(wanted: Wanted) -> Packaged:
    """The calculator of a released model: the package takes no file of the user's own."""
    if wanted.checkpoint is not None:
        raise WeightsError("matris loads the models that it names, and no file.", hint="Leave --checkpoint out.")
    return Packaged(calculator=MatRISCalculator(model=wanted.source, task="efs", device=wanted.device))


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """See :func:`ncbench.models.packaged.load_packaged`."""
    return load_packaged(
        request,
        parsed,
        row,
        make=make,
        distributions=(
            "matris",
            "torch",
        ),
    )
