"""GRACE through its own ASE calculator, by TensorFlow. Untried: written after the package's documentation."""

from __future__ import annotations

from tensorpotential.calculator import TPCalculator, grace_fm

from ncbench.models.interface import ForceField
from ncbench.models.packaged import Packaged, Wanted, load_packaged
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.types import ModelRequest


def make(wanted: Wanted) -> Packaged:
    """The calculator of a released model; a user's own is a saved model of the package."""
    if wanted.checkpoint is not None:
        return Packaged(calculator=TPCalculator(str(wanted.checkpoint)), checkpoint=wanted.checkpoint)
    return Packaged(calculator=grace_fm(wanted.source))


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """See :func:`ncbench.models.packaged.load_packaged`."""
    return load_packaged(request, parsed, row, make=make, distributions=("tensorpotential",))
