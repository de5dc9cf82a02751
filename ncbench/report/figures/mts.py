"""Multiple time stepping: cost of a step and drift of the energy against M (Table 10 and Figure 16 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ncbench.report.style import HUES, save, styled_figure

MOST_LINEAR = 100.0
"""Largest drift on a linear scale, meV/atom/ps; a larger one gets a scale that is logarithmic above 1."""


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """Measured cost with the two formulae, and drift with those of either force alone; means over structures."""
    frame, name = tables["mts"], "energy_drift_meV_per_atom_per_ps"
    split = frame[frame["integrator"] == "mts"]
    strides = np.array(sorted(split["stride"].unique()), dtype=float)
    with styled_figure(8.6, 4.0) as figure:
        cost, drift = figure.subplots(1, 2)
        for number, (model, part) in enumerate(split.groupby("model", sort=False)):
            means = part.groupby("stride").mean(numeric_only=True).sort_index()
            colour = HUES[number % len(HUES)]
            low, high = means["ratio_cost"] - means["ratio_cost_low"], means["ratio_cost_high"] - means["ratio_cost"]
            cost.errorbar(
                means.index,
                means["ratio_cost"],
                [low, high],
                color=colour,
                marker="o",
                capsize=3,
                label=f"{model}, measured",
            )
            cost.plot(means.index, means["ratio_one_call"], color=colour, ls="--", label="1 + (F − 1)/M")
            cost.plot(means.index, means["ratio_two_calls"], color=colour, ls=":", label="1 + F/M")
            drift.errorbar(
                means.index,
                means[name],
                means[f"{name}_se"],
                color=colour,
                marker="o",
                capsize=3,
                label=f"{model}, mts",
            )
            alone = frame[(frame["model"] == model) & (frame["integrator"] != "mts")]
            for kind, line in (("direct", "--"), ("conservative", "-.")):
                value = alone.loc[alone["integrator"] == kind, name].astype(float).mean()
                drift.axhline(value, color=colour, ls=line, lw=1.0, label=f"{kind} forces alone")
        for axes in (cost, drift):
            axes.set_xscale("log", base=2)
            axes.set_xticks(strides, [f"{stride:g}" for stride in strides])
            axes.minorticks_off()
            axes.set_xlabel("M")
            # Below the panel: error bars of a loaded machine cover all of it.
            axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16))
        cost.set_ylabel("time of a step / with direct forces")
        drift.set_ylabel("drift (meV/atom/ps)")
        drift.axhline(0.0, color="0.6", lw=0.6, zorder=0)
        if split[name].abs().max() > MOST_LINEAR:
            # One exploding stride would press all others to zero.
            drift.set_yscale("symlog", linthresh=1.0)
        save(figure, paths)
