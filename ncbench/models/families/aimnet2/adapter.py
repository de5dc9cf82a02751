"""AIMNet2 through its own ASE calculator. Untried: written after the package's documentation."""

from __future__ import annotations

from aimnet.calculators import AIMNet2ASE, AIMNet2Calculator

from ncbench.models.interface import ForceField
from ncbench.models.options import charge_and_spin
from ncbench.models.packaged import Packaged, Wanted, load_packaged
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.types import ModelRequest

ELEMENTS = frozenset({1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 33, 34, 35, 53})


def make(wanted: Wanted) -> Packaged:
    """The calculator of a released model or of a user's file."""
    system = charge_and_spin(wanted.request, "AIMNet2", reads=True)
    model = AIMNet2Calculator(str(wanted.checkpoint or wanted.source), device=wanted.device)
    calculator = AIMNet2ASE(model, charge=system["charge"], mult=system["spin"])
    return Packaged(
        calculator=calculator,
        elements=ELEMENTS,
        checkpoint=wanted.checkpoint,
        options={name: str(value) for name, value in system.items()},
    )


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """See :func:`ncbench.models.packaged.load_packaged`."""
    return load_packaged(
        request,
        parsed,
        row,
        make=make,
        distributions=(
            "aimnet",
            "torch",
        ),
    )
