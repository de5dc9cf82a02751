"""GRACE, of tensorpotential (TensorFlow). Untried: see docs/models.md."""

from __future__ import annotations

from ncbench.models.family import Family
from ncbench.models.row import CONSERVATIVE, ModelRow

_PAPER = "Bochkarev, Lysogorskiy, Drautz, Graph atomic cluster expansion for semilocal interactions beyond equivariant message passing, Phys. Rev. X 14, 021036 (2024)"

FAMILY = Family(
    name="grace",
    adapter=f"{__name__}.adapter",
    summary="GRACE (tensorpotential, TensorFlow)",
    rows=(
        ModelRow(
            name="grace-2l-oam",
            family="grace",
            modes=(CONSERVATIVE,),
            summary="GRACE, two layers, OMat24, then sAlex and MPtrj",
            aliases=("grace",),
            package="tensorpotential",
            install="tensorpotential",
            weights="download",
            source="GRACE-2L-OAM",
            elements="89 elements",
            training="OMat24, sAlex, MPtrj",
            licence="Academic Software License",
            citation=_PAPER,
        ),
        ModelRow(
            name="grace-2l-omat",
            family="grace",
            modes=(CONSERVATIVE,),
            summary="GRACE, two layers, OMat24",
            package="tensorpotential",
            install="tensorpotential",
            weights="download",
            source="GRACE-2L-OMAT",
            elements="89 elements",
            training="OMat24",
            licence="Academic Software License",
            citation=_PAPER,
        ),
        ModelRow(
            name="grace-1l-oam",
            family="grace",
            modes=(CONSERVATIVE,),
            summary="GRACE, one layer, OMat24, then sAlex and MPtrj",
            package="tensorpotential",
            install="tensorpotential",
            weights="download",
            source="GRACE-1L-OAM",
            elements="89 elements",
            training="OMat24, sAlex, MPtrj",
            licence="Academic Software License",
            citation=_PAPER,
        ),
    ),
)
