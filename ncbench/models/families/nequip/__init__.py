"""NequIP and Allegro: compiled models of nequip. Untried: see docs/models.md."""

from __future__ import annotations

from ncbench.models.family import Family
from ncbench.models.row import CONSERVATIVE, ModelRow

_PAPER = "Batzner et al., Nat. Commun. 13, 2453 (2022); Musaelian et al., Nat. Commun. 14, 579 (2023)"

FAMILY = Family(
    name="nequip",
    adapter=f"{__name__}.adapter",
    summary="NequIP and Allegro, compiled (nequip)",
    rows=(
        ModelRow(
            name="nequip",
            family="nequip",
            modes=(CONSERVATIVE,),
            summary="NequIP, a model compiled by nequip-compile",
            package="nequip",
            install="nequip",
            weights="none",
            source="compiled",
            elements="those of the file",
            licence="that of the file",
            citation=_PAPER,
        ),
        ModelRow(
            name="allegro",
            family="nequip",
            modes=(CONSERVATIVE,),
            summary="Allegro, a model compiled by nequip-compile",
            package="nequip",
            install="nequip",
            weights="none",
            source="compiled",
            elements="those of the file",
            licence="that of the file",
            citation=_PAPER,
        ),
    ),
)
