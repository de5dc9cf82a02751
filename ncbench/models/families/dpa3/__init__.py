"""DPA-3 and other models of deepmd-kit. Untried: see docs/models.md."""

from __future__ import annotations

from ncbench.models.family import Family
from ncbench.models.row import CONSERVATIVE, ModelRow

_PAPER = "Zhang et al., A graph neural network for the era of large atomistic models, arXiv:2506.01686 (2025)"

FAMILY = Family(
    name="dpa3",
    adapter=f"{__name__}.adapter",
    summary="DPA-3 and other models of deepmd-kit (deepmd-kit)",
    rows=(
        ModelRow(
            name="dpa3",
            family="dpa3",
            modes=(CONSERVATIVE,),
            summary="DPA-3, a model file of deepmd-kit",
            aliases=("dpa-3",),
            package="deepmd",
            install="deepmd-kit[torch]",
            weights="none",
            source="file",
            elements="those of the file",
            licence="that of the file",
            citation=_PAPER,
            options={"head": "task of a model of several tasks"},
        ),
    ),
)
