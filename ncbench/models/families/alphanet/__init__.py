"""AlphaNet; its package is not on the index. Untried: see docs/models.md."""

from __future__ import annotations

from ncbench.models.family import Family
from ncbench.models.row import CONSERVATIVE, ModelRow

_PAPER = "Yin et al., AlphaNet: scaling up local-frame-based atomistic interatomic potentials, arXiv:2501.07155 (2025)"

FAMILY = Family(
    name="alphanet",
    adapter=f"{__name__}.adapter",
    summary="AlphaNet (alphanet, from its repository)",
    rows=(
        ModelRow(
            name="alphanet",
            family="alphanet",
            modes=(CONSERVATIVE,),
            summary="AlphaNet, a checkpoint beside its configuration",
            package="alphanet.infer",
            install="git+https://github.com/zmyybc/AlphaNet",
            weights="none",
            source="file",
            elements="those of the file",
            licence="its own, see the repository",
            citation=_PAPER,
            options={"config": "its configuration, a JSON file"},
        ),
    ),
)
