"""Analytic force fields with closed-form reference values; see :mod:`ncbench.models.families.analytic.adapter`."""

from __future__ import annotations

from ncbench.models.family import Family
from ncbench.models.row import CONSERVATIVE, DIRECT, ModelRow

FAMILY = Family(
    name="analytic",
    adapter=f"{__name__}.adapter",
    summary="Analytic force fields with closed-form reference values (part of ncbench)",
    tried="no weights",
    rows=(
        ModelRow(
            name="analytic-harmonic",
            family="analytic",
            modes=(CONSERVATIVE,),
            system="harmonic-crystal",
            summary="Einstein crystal: λ = 0, W = 0, no drift, in closed form",
            options={"k": "spring constant, eV/Å² (5)"},
        ),
        ModelRow(
            name="analytic-solenoidal",
            family="analytic",
            modes=(DIRECT,),
            system="harmonic-crystal",
            summary="Einstein crystal with a solenoidal force of adjustable strength: λ, W and heating in closed form",
            options={"k": "spring constant, eV/Å² (5)", "kappa": "strength of the solenoidal force, eV/Å² (0.05)"},
        ),
        ModelRow(
            name="analytic-lj",
            family="analytic",
            modes=(CONSERVATIVE,),
            system="argon",
            summary="Lennard-Jones argon with a smooth cutoff",
            options={"epsilon": "well depth, eV (0.0104)", "sigma": "Å (3.4)", "cutoff": "Å (8.5)"},
        ),
    ),
    reads_weights=False,
)
