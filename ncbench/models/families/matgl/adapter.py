"""MatGL's potentials through their own ASE calculator. Untried: written after the package's documentation."""

from __future__ import annotations

import matgl
from ase.data import atomic_numbers
from matgl.ext.ase import PESCalculator

from ncbench.models.interface import ForceField
from ncbench.models.packaged import Packaged, Wanted, load_packaged
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.types import ModelRequest


def make(wanted: Wanted) -> Packaged:
    """The calculator of a released potential; the package takes a folder of three files, which no single checkpoint is."""
    potential = matgl.load_model(wanted.source)
    calculator = PESCalculator(potential.to(wanted.device), stress_unit="eV/A3")
    elements = frozenset(atomic_numbers[symbol] for symbol in calculator.element_types)
    return Packaged(
        calculator=calculator, elements=elements, cutoff_A=float(calculator.cutoff), vacuum_A=float(calculator.cutoff)
    )


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """See :func:`ncbench.models.packaged.load_packaged`."""
    return load_packaged(
        request,
        parsed,
        row,
        make=make,
        distributions=(
            "matgl",
            "torch",
        ),
    )
