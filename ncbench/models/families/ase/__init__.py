"""Any ASE calculator, made by a factory of the user; see :mod:`ncbench.models.ase_adapter`."""

from __future__ import annotations

from ncbench.models.family import Family

FAMILY = Family(
    name="ase",
    adapter="ncbench.models.ase_adapter",
    summary="ASE calculators of the user's own",
    tried="no weights",
    reads_weights=False,
)
