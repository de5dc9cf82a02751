"""Nequix, of nequix (JAX). Untried: see docs/models.md."""

from __future__ import annotations

from ncbench.models.family import Family
from ncbench.models.row import CONSERVATIVE, ModelRow

_PAPER = "Koker, Kotak, Smidt, Training a foundation model for materials on a budget, arXiv:2508.16067 (2025)"

FAMILY = Family(
    name="nequix",
    adapter=f"{__name__}.adapter",
    summary="Nequix (nequix, JAX)",
    rows=(
        ModelRow(
            name="nequix-mp-1",
            family="nequix",
            modes=(CONSERVATIVE,),
            summary="Nequix, MPtrj",
            aliases=("nequix",),
            package="nequix",
            install="nequix",
            weights="download",
            source="nequix-mp-1",
            elements="89 elements",
            training="MPtrj",
            licence="MIT",
            citation=_PAPER,
        ),
        ModelRow(
            name="nequix-omat-1",
            family="nequix",
            modes=(CONSERVATIVE,),
            summary="Nequix, OMat24",
            package="nequix",
            install="nequix",
            weights="download",
            source="nequix-omat-1",
            elements="89 elements",
            training="OMat24",
            licence="MIT",
            citation=_PAPER,
        ),
        ModelRow(
            name="nequix-oam-1",
            family="nequix",
            modes=(CONSERVATIVE,),
            summary="Nequix, OMat24, then sAlex and MPtrj",
            package="nequix",
            install="nequix",
            weights="download",
            source="nequix-oam-1",
            elements="89 elements",
            training="OMat24, sAlex, MPtrj",
            licence="MIT",
            citation=_PAPER,
        ),
    ),
)
