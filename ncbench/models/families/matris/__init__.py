"""MatRIS, of matris. Untried: see docs/models.md."""

from __future__ import annotations

from ncbench.models.family import Family
from ncbench.models.row import CONSERVATIVE, ModelRow

_PAPER = "MatRIS, HPC-AI-Team, as its package says"

FAMILY = Family(
    name="matris",
    adapter=f"{__name__}.adapter",
    summary="MatRIS (matris)",
    rows=(
        ModelRow(
            name="matris-10m-oam",
            family="matris",
            modes=(CONSERVATIVE,),
            summary="MatRIS, 10 M weights, OMat24, then sAlex and MPtrj",
            aliases=("matris",),
            package="matris",
            install="matris",
            weights="download",
            source="matris_10m_oam",
            elements="89 elements",
            training="OMat24, sAlex, MPtrj",
            licence="its own, see the package",
            citation=_PAPER,
        ),
        ModelRow(
            name="matris-10m-omat",
            family="matris",
            modes=(CONSERVATIVE,),
            summary="MatRIS, 10 M weights, OMat24",
            package="matris",
            install="matris",
            weights="download",
            source="matris_10m_omat",
            elements="89 elements",
            training="OMat24",
            licence="its own, see the package",
            citation=_PAPER,
        ),
        ModelRow(
            name="matris-10m-mp",
            family="matris",
            modes=(CONSERVATIVE,),
            summary="MatRIS, 10 M weights, MPtrj",
            package="matris",
            install="matris",
            weights="download",
            source="matris_10m_mp",
            elements="89 elements",
            training="MPtrj",
            licence="its own, see the package",
            citation=_PAPER,
        ),
    ),
)
