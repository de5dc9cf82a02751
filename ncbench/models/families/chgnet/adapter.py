"""CHGNet through its own ASE calculator, in float32, without Jacobian products."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chgnet.model as package
from chgnet.model import CHGNet, CHGNetCalculator

from ncbench.models.interface import ForceField
from ncbench.models.packaged import Packaged, Wanted, load_packaged
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.types import ModelRequest

ELEMENTS = frozenset(range(1, 95)) - {84, 85, 86, 87, 88}
"""MPtrj has no structure with Po, At, Rn, Fr or Ra."""


class _OnDemand(CHGNetCalculator):  # type: ignore[misc]  # the library is untyped
    """``CHGNetCalculator`` without the stress, a third of the time of a call, where it is not read.

    It is computed together with the forces if that of the structure before was read, else in a second call when it is asked for.
    """

    _stress_read = False

    def get_property(self, name: str, atoms: Any = None, allow_calculation: bool = True) -> Any:
        """See :class:`ase.calculators.calculator.Calculator`."""
        self._stress_read |= name == "stress" and allow_calculation
        return super().get_property(name, atoms, allow_calculation)

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
        """Energy and forces, and the stress if it is asked for or was read of the structure before."""
        super().calculate(atoms, properties, system_changes, task="efs" if self._stress_read else "ef")
        self._stress_read = properties is not None and "stress" in properties


def make(wanted: Wanted) -> Packaged:
    """The calculator of a released model or of a user's file."""
    if wanted.checkpoint is not None:
        model, path = CHGNet.from_file(str(wanted.checkpoint)).to(wanted.device), wanted.checkpoint
    else:
        model = CHGNet.load(model_name=wanted.source, use_device=wanted.device, verbose=False)
        (path,) = (Path(package.__file__).parents[1] / "pretrained" / wanted.source).glob("*.pth.tar")
    cutoff_A = float(model.graph_converter.atom_graph_cutoff)
    return Packaged(
        # A lone atom has no graph: the package warns that its numbers are likely wrong, here it is refused.
        calculator=_OnDemand(model=model, use_device=wanted.device, on_isolated_atoms="error"),
        elements=ELEMENTS,
        cutoff_A=cutoff_A,
        layers=int(model.n_conv),
        checkpoint=path,
        vacuum_A=cutoff_A,
    )


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """See :func:`ncbench.models.packaged.load_packaged`."""
    return load_packaged(request, parsed, row, make=make, distributions=("chgnet", "torch"))
