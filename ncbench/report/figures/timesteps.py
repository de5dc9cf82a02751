"""Drift of the energy against the time step: the part that remains at Δt → 0 is caused by the forces, the part that falls as Δt² or faster by the integrator."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ncbench.report.style import Look, save, styled_figure
from ncbench.statistics.intervals import SIGMAS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DRIFT = "energy_drift_meV_per_atom_per_ps"


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """From ``nve-drift-timesteps`` the fits and verdicts, from ``nve-drift`` the drifts; both axes logarithmic."""
    fits, runs = tables["nve-drift-timesteps"], tables["nve-drift"]
    models = list(dict.fromkeys(fits["model"]))
    from matplotlib.ticker import NullLocator

    with styled_figure(6.4, 4.4) as figure:
        axes = figure.subplots()
        for number, fit in enumerate(fits.to_dict("records")):
            look = Look.of(models.index(fit["model"]) if len(models) == len(fits) else number, str(fit["force_mode"]))
            points = runs[(runs["job"] == fit["job"]) & (runs["structure"] == fit["structure"])].sort_values(
                "timestep_fs"
            )
            points = points[points[f"{_DRIFT}_se"].notna()]
            name = f"{fit['model']}:{fit['force_mode']}" if fit["force_mode"] else str(fit["model"])
            _points(axes, points, look, f"{name}, {fit['structure']}: {_said(fit)}")
            _curve(axes, fit, look)
        axes.set_xscale("log")
        axes.set_yscale("log")
        steps = sorted(runs.loc[runs["job"].isin(fits["job"]), "timestep_fs"].unique())
        axes.set_xticks(steps, [f"{step:g}" for step in steps])
        axes.xaxis.set_minor_locator(NullLocator())
        _guide(axes)
        axes.set(xlabel="time step (fs)", ylabel="|drift| (meV/atom/ps)")
        figure.legend(loc="outside lower center", frameon=False, fontsize=7)
        save(figure, paths)


def _guide(axes: Axes) -> None:
    """A reference slope at the bottom."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    low = min(low, high / 30.0)
    step = np.geomspace(left, right, 2)
    axes.plot(step, 1.3 * low * (step / left) ** 2, ":", color="0.6", lw=1.0, label="dotted: ∝ Δt²")
    axes.set(xlim=(left, right), ylim=(low, high))


def _points(axes: Axes, runs: pd.DataFrame, look: Look, label: str) -> None:
    step = runs["timestep_fs"].to_numpy(float)
    size, error = runs[_DRIFT].abs().to_numpy(float), runs[f"{_DRIFT}_se"].to_numpy(float)
    resolved = size > SIGMAS * error
    # Two errors, limited to positive values for the logarithmic axis.
    below = np.minimum(2.0 * error, 0.9 * size)
    axes.errorbar(
        step[resolved],
        size[resolved],
        [below[resolved], 2.0 * error[resolved]],
        ls="none",
        marker=look.marker,
        color=look.colour,
        mfc=look.fill,
        capsize=3,
        label=label,
    )
    bound = size + 2.0 * error
    axes.errorbar(
        step[~resolved],
        bound[~resolved],
        0.4 * bound[~resolved],
        uplims=True,
        ls="none",
        marker="_",
        color=look.colour,
        capsize=2,
    )


def _curve(axes: Axes, fit: Mapping[Hashable, Any], look: Look) -> None:
    """|a + b Δt^p| with the terms that the verdict retains."""
    least, most = float(fit["timestep_least_fs"]), float(fit["timestep_most_fs"])
    verdict = str(fit["verdict"])
    limit = float(fit["limit_meV_per_atom_per_ps"]) if verdict in ("forces", "both") else 0.0
    curve = float(fit["curve_meV_per_atom_per_ps"]) if verdict in ("integrator", "both") else 0.0
    step = np.geomspace(least / 1.15, most * 1.15, 200)
    size = np.abs(limit + curve * step ** int(fit["power"]))
    if (size > 0.0).all():
        axes.plot(step, size, look.line, color=look.colour, lw=1.0)


def _said(fit: Mapping[Hashable, Any]) -> str:
    order, error = fit["ratio_order"], fit["ratio_order_se"]
    if order is None or not np.isfinite(order):
        return str(fit["verdict"])
    # Rounded first: a zero has no sign.
    return f"{fit['verdict']} (order {round(order, 2) + 0.0:.2f} ± {error:.2g})"
