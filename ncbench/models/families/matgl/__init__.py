"""MatGL's potentials (TensorNet, M3GNet, CHGNet), of matgl. Untried: see docs/models.md."""

from __future__ import annotations

from ncbench.models.family import Family
from ncbench.models.row import CONSERVATIVE, ModelRow

_PAPER = "Ko et al., Materials Graph Library (MatGL), npj Comput. Mater. 11, 253 (2025)"

FAMILY = Family(
    name="matgl",
    adapter=f"{__name__}.adapter",
    summary="MatGL: TensorNet, M3GNet (matgl)",
    rows=(
        ModelRow(
            name="tensornet-matpes-pbe",
            family="matgl",
            modes=(CONSERVATIVE,),
            summary="TensorNet, MatPES PBE",
            aliases=("matgl", "tensornet"),
            package="matgl",
            install="matgl",
            weights="download",
            source="TensorNet-MatPES-PBE-v2025.1-PES",
            elements="89 elements",
            training="MatPES (PBE)",
            licence="BSD-3-Clause",
            citation=_PAPER,
        ),
        ModelRow(
            name="m3gnet-mp",
            family="matgl",
            modes=(CONSERVATIVE,),
            summary="M3GNet, Materials Project",
            aliases=("m3gnet",),
            package="matgl",
            install="matgl",
            weights="download",
            source="M3GNet-MP-2021.2.8-DIRECT-PES",
            elements="89 elements",
            training="Materials Project 2021.2.8",
            licence="BSD-3-Clause",
            citation=_PAPER,
        ),
    ),
)
