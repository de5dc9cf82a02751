"""Choice of M: where the vibrations are, how much of each is in the slow forces, and the scan of M with its bound on the growth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ncbench.report.style import HUES, MARKERS, save, styled_figure

MOST_LINEAR = 10.0
"""Largest drift on a linear scale, meV/atom/ps; a larger one gets a scale that is logarithmic above 1."""
BEYOND = 1.15
"""End of the frequency axis in units of the highest frequency."""


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """Share of the kinetic energy and slow part κ/ω² against the frequency; drift and growth bound against MΔt. The first structure of each model."""
    design, scan = tables["mts-design-design"], tables["mts-design"]
    spectra = tables["mts-design-spectrum"]
    with styled_figure(8.6, 4.4) as figure:
        vibrations, drift = figure.subplots(1, 2)
        slow, growth = vibrations.twinx(), drift.twinx()
        for number, (_, row) in enumerate(design.drop_duplicates("model").iterrows()):
            colour, marker = HUES[number % len(HUES)], MARKERS[number % len(MARKERS)]
            lines = _of(spectra, row)
            lines = lines[lines["frequency_per_cm"] <= BEYOND * row["highest_per_cm"]]
            vibrations.plot(
                lines["frequency_per_cm"], lines["fraction_kinetic"], color=colour, label=f"{row['model']}: kinetic"
            )
            there = lines[lines["occupied"].astype(bool) & lines["ratio_slow_rms"].notna()]
            slow.plot(
                there["frequency_per_cm"],
                there["ratio_slow_rms"],
                color=colour,
                ls="",
                marker=marker,
                mfc="white",
                label=f"{row['model']}: κ/ω²",
            )
            vibrations.axvline(row["highest_per_cm"], color=colour, ls=":", lw=1.0)
            tried = _of(scan, row).sort_values("outer_fs")
            name = "energy_drift_meV_per_atom_per_ps"
            drift.errorbar(
                tried["outer_fs"],
                tried[name].astype(float),
                tried[f"{name}_se"].astype(float),
                color=colour,
                marker=marker,
                capsize=3,
                ls="",
                label=f"{row['model']}: drift in the scan",
            )
            growth.plot(
                tried["outer_fs"],
                tried["growth_bound_per_ps"].astype(float),
                color=colour,
                ls="--",
                label=f"{row['model']}: growth bound",
            )
            drift.axvline(
                row["first_resonance_fs"], color=colour, ls=":", lw=1.0, label=f"{row['model']}: first resonance"
            )
        drift.axhline(0.0, color="0.6", lw=0.6, zorder=0)
        if scan["energy_drift_meV_per_atom_per_ps"].astype(float).abs().max() > MOST_LINEAR:
            # A drifting M would press all others to zero.
            drift.set_yscale("symlog", linthresh=1.0)
        drift.margins(y=0.1)
        vibrations.set(xlabel="frequency (1/cm)", ylabel="share of the kinetic energy")
        vibrations.set_ylim(bottom=0.0)
        slow.set_ylabel("slow part κ/ω² (markers)")
        drift.set(xlabel="M Δt (fs)", ylabel="drift (meV/atom/ps)")
        growth.set_ylabel("growth bound (1/ps, dashed)")
        for axes in (slow, growth):
            axes.spines["right"].set_visible(True)
            axes.set_ylim(0.0, max(1e-6, 1.1 * axes.dataLim.ymax if np.isfinite(axes.dataLim.ymax) else 0.0))
        for axes, other in ((vibrations, slow), (drift, growth)):
            handles, labels = (
                a + b for a, b in zip(*(one.get_legend_handles_labels() for one in (axes, other)), strict=True)
            )
            axes.legend(handles, labels, frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16))
        save(figure, paths)


def _of(frame: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    same = (frame["model"] == row["model"]) & (frame["structure"] == row["structure"]) & (frame["job"] == row["job"])
    chosen: pd.DataFrame = frame[same]
    return chosen
