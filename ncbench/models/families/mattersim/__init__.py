"""MatterSim, of mattersim. Untried: see docs/models.md."""

from __future__ import annotations

from ncbench.models.family import Family
from ncbench.models.row import CONSERVATIVE, ModelRow

_PAPER = "Yang et al., MatterSim: a deep learning atomistic model across elements, temperatures and pressures, arXiv:2405.04967 (2024)"

FAMILY = Family(
    name="mattersim",
    adapter=f"{__name__}.adapter",
    summary="MatterSim (mattersim)",
    rows=(
        ModelRow(
            name="mattersim-v1.0.0-1m",
            family="mattersim",
            modes=(CONSERVATIVE,),
            summary="MatterSim v1, 1 M weights",
            aliases=("mattersim", "mattersim-1m"),
            package="mattersim",
            install="mattersim",
            weights="download",
            source="MatterSim-v1.0.0-1M.pth",
            url="https://raw.githubusercontent.com/microsoft/mattersim/main/pretrained_models/MatterSim-v1.0.0-1M.pth",
            elements="89 elements",
            licence="MIT",
            citation=_PAPER,
        ),
        ModelRow(
            name="mattersim-v1.0.0-5m",
            family="mattersim",
            modes=(CONSERVATIVE,),
            summary="MatterSim v1, 5 M weights",
            aliases=("mattersim-5m",),
            package="mattersim",
            install="mattersim",
            weights="download",
            source="MatterSim-v1.0.0-5M.pth",
            url="https://raw.githubusercontent.com/microsoft/mattersim/main/pretrained_models/MatterSim-v1.0.0-5M.pth",
            elements="89 elements",
            licence="MIT",
            citation=_PAPER,
        ),
    ),
)
