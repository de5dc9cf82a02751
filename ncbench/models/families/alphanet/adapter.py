"""AlphaNet through its own ASE calculator. Untried: written after the package's documentation."""

from __future__ import annotations

from alphanet.config import All_Config
from alphanet.infer.calc import AlphaNetCalculator

from ncbench.errors import WeightsError
from ncbench.models.interface import ForceField
from ncbench.models.packaged import Packaged, Wanted, load_packaged
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.types import ModelRequest


def make(wanted: Wanted) -> Packaged:
    """The calculator of a checkpoint and its configuration."""
    if wanted.checkpoint is None or "config" not in wanted.options:
        raise WeightsError(
            "An AlphaNet is loaded from a checkpoint and its configuration, which lie in its repository.",
            hint="Add --checkpoint FILE.ckpt --trust-checkpoint -O config=FILE.json.",
        )
    calculator = AlphaNetCalculator(
        ckpt_path=str(wanted.checkpoint),
        device=wanted.device,
        precision="64" if wanted.dtype == "float64" else "32",
        config=All_Config().from_json(wanted.options["config"]),
    )
    return Packaged(calculator=calculator, checkpoint=wanted.checkpoint)


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """See :func:`ncbench.models.packaged.load_packaged`."""
    return load_packaged(request, parsed, row, make=make, distributions=("torch",))
