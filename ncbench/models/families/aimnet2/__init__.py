"""AIMNet2, of aimnet. Untried: see docs/models.md."""

from __future__ import annotations

from ncbench.models.family import Family
from ncbench.models.row import CONSERVATIVE, ModelRow

_PAPER = "Anstine, Zubatyuk, Isayev, AIMNet2, Chem. Sci. 16, 10228 (2025)"

FAMILY = Family(
    name="aimnet2",
    adapter=f"{__name__}.adapter",
    summary="AIMNet2: molecules (aimnet)",
    rows=(
        ModelRow(
            name="aimnet2",
            family="aimnet2",
            modes=(CONSERVATIVE,),
            summary="AIMNet2, ωB97M-D3, first of four",
            aliases=("aimnet2-wb97m-d3",),
            package="aimnet",
            install="aimnet[ase]",
            weights="download",
            source="aimnet2-wb97m-d3_0",
            system="water-molecule",
            elements="14 elements: H, B, C, N, O, F, Si, P, S, Cl, As, Se, Br, I",
            licence="MIT",
            citation=_PAPER,
            options={"charge": "total charge (0)", "spin": "spin multiplicity (1)"},
        ),
        ModelRow(
            name="aimnet2-b973c",
            family="aimnet2",
            modes=(CONSERVATIVE,),
            summary="AIMNet2, B97-3c, first of four",
            package="aimnet",
            install="aimnet[ase]",
            weights="download",
            source="aimnet2-b973c-d3_0",
            system="water-molecule",
            elements="14 elements: H, B, C, N, O, F, Si, P, S, Cl, As, Se, Br, I",
            licence="MIT",
            citation=_PAPER,
            options={"charge": "total charge (0)", "spin": "spin multiplicity (1)"},
        ),
    ),
)
