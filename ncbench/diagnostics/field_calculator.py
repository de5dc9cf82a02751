"""A bound field as an ASE calculator, for ASE's optimisers and dynamics."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from ncbench.forcefields.base import ForceField


class FieldCalculator(Calculator):
    """The force field bound to one structure, whose positions alone may change."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 (ASE declares it on the instance)

    def __init__(self, forcefield: ForceField, atoms: Atoms) -> None:
        """Bind ``forcefield`` to ``atoms``.

        Raises:
            StructureError, UnsupportedError: as :meth:`ForceField.bind` does.
        """
        Calculator.__init__(self)
        self.field = forcefield.bind([atoms])
        self.force_calls = 0

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        """See ASE. Positions that are not finite have forces that are not finite: no model is asked about them."""
        Calculator.calculate(self, atoms, properties, system_changes)
        assert self.atoms is not None
        positions = self.atoms.get_positions()
        if not np.isfinite(positions).all():
            self.results = {"energy": np.nan, "forces": np.full_like(positions, np.nan)}
            return
        self.force_calls += 1
        output = self.field(torch.as_tensor(positions[None], dtype=torch.float64, device=self.field.device))
        self.results = {"energy": float(output.energy[0]), "forces": output.forces[0].cpu().numpy()}
