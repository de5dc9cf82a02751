"""All observables of a set of trajectories, as rows of tables."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncbench.errors import StructureWarning, UsageError, did_you_mean
from ncbench.observables.averages import Curve
from ncbench.observables.motion import (
    LEAST_FRAMES,
    diffusion,
    mean_square_displacement,
    temperatures,
    velocity_spectrum,
)
from ncbench.observables.structure import orientational_correlation, pair_correlation, radial_edges
from ncbench.observables.tables import MSD, ORIENTATION, PAIRS, SPECTRUM, SUMMARY
from ncbench.observables.trajectory import Trajectory
from ncbench.statistics.cells import mean
from ncbench.statistics.floors import SPECIES_EXCHANGE_FS, temperature_slope_error
from ncbench.statistics.series import Slope, blocking_mean, slope

OBSERVABLES = ("temperature", "rdf", "orientation", "spectrum", "msd")
Rows = dict[str, list[dict[str, Any]]]


def what_there_is(trajectories: Sequence[Trajectory], blocks: int = 5) -> list[str]:
    """The observables that can be computed from these trajectories: ``rdf`` needs a cell, ``orientation`` water, the others times or velocities.

    A warning names those omitted because a trajectory is too short for ``blocks`` blocks.
    """
    first = trajectories[0]
    moving = all(t.velocities is not None for t in trajectories)
    timed = all(t.interval_fs is not None for t in trajectories)
    water = len(first.of("O")) > 1 and len(first.of("H")) == 2 * len(first.of("O"))
    periodic = all(t.pbc.all() for t in trajectories)
    there = {
        "temperature": moving,
        "rdf": periodic,
        "orientation": periodic and water,
        "spectrum": moving and timed,
        "msd": timed,
    }
    short = [t for t in trajectories if t.n_frames // max(1, min(blocks, t.n_frames)) < LEAST_FRAMES]
    if short and (lost := [name for name in ("spectrum", "msd") if there[name]]):
        warnings.warn(
            f"'{short[0].name}' has {short[0].n_frames} frames, too few for {' and '.join(lost)} in {blocks} blocks: left out.",
            StructureWarning,
            stacklevel=2,
        )
        there |= dict.fromkeys(lost, False)
    return [name for name in OBSERVABLES if there[name]]


def check_names(names: Sequence[str]) -> None:
    """Refuse an observable that does not exist.

    Raises:
        UsageError: with the name, and the available ones.
    """
    for name in names:
        if name not in OBSERVABLES:
            hint = did_you_mean(name, OBSERVABLES) or f"There are {', '.join(OBSERVABLES)}."
            raise UsageError(f"There is no observable '{name}'.", hint=hint)


def analyse(
    trajectories: Sequence[Trajectory],
    names: Sequence[str],
    *,
    reference: Sequence[Trajectory] = (),
    blocks: int = 5,
    bin_A: float = 0.05,
) -> Rows:
    """Rows by table ("" is the summary). Trajectories are replicas of one system; differences are to ``reference``'s mean.

    Raises:
        UsageError: an observable cannot be computed from these trajectories.
    """
    check_names(names)
    if len({t.symbols for t in (*trajectories, *reference)}) != 1:
        raise UsageError("The trajectories have different atoms; replicas and their reference must have the same.")
    elements = sorted(set(trajectories[0].symbols))
    rows: Rows = {"": _summary(trajectories, names, elements, blocks)}
    if "rdf" in names or "orientation" in names:
        edges = radial_edges([*trajectories, *reference], width_A=bin_A)
    if "rdf" in names:
        rows["rdf"] = []
        for a, b in combinations_with_replacement(elements, 2):
            if a == b and len(trajectories[0].of(a)) < 2:
                continue
            curve = pair_correlation(trajectories, a, b, edges_A=edges, blocks=blocks)
            other = pair_correlation(reference, a, b, edges_A=edges, blocks=blocks) if reference else None
            common = {"species_i": a, "species_j": b, "trajectories": len(trajectories)}
            rows["rdf"] += _rows(PAIRS, curve, other, common, "distance_A", "ratio_g", "ratio_g_difference")
    if "orientation" in names:
        wide = radial_edges([*trajectories, *reference], width_A=max(bin_A, 0.2))
        curve = orientational_correlation(trajectories, edges_A=wide, blocks=blocks)
        other = orientational_correlation(reference, edges_A=wide, blocks=blocks) if reference else None
        common = {"trajectories": len(trajectories)}
        rows["orientation"] = _rows(
            ORIENTATION, curve, other, common, "distance_A", "ratio_c_uu", "ratio_c_uu_difference"
        )
    if "spectrum" in names:
        rows["spectrum"] = []
        for name in ("all", *elements):
            symbol = None if name == "all" else name
            curve = velocity_spectrum(trajectories, symbol, blocks=blocks)
            other = velocity_spectrum(reference, symbol, blocks=blocks) if reference else None
            common = {"species": name, "trajectories": len(trajectories)}
            rows["spectrum"] += _rows(
                SPECTRUM, curve, other, common, "wavenumber_per_cm", "density_K_cm", "density_difference_K_cm"
            )
    if "msd" in names:
        rows["msd"] = []
        for name in elements:
            curve = mean_square_displacement(trajectories, name, blocks=blocks)
            common = {"species": name, "trajectories": len(trajectories)}
            rows["msd"] += _rows(MSD, curve, None, common, "time_fs", "displacement_A2", "")
    return rows


def _summary(
    trajectories: Sequence[Trajectory], names: Sequence[str], elements: Sequence[str], blocks: int
) -> list[dict[str, Any]]:
    first = trajectories[0]
    rows = []
    for name in ("all", *elements):
        row: dict[str, Any] = {
            "species": name,
            "frames": sum(t.n_frames for t in trajectories),
            "interval_fs": first.interval_fs,
            "trajectories": len(trajectories),
            "n_atoms": len(first.symbols) if name == "all" else len(first.of(name)),
        }
        if "temperature" in names:
            row |= _temperature(trajectories, None if name == "all" else name)
        if name == "all" and all(t.pbc.all() for t in trajectories):
            lengths = [np.cbrt(np.abs(np.linalg.det(t.cells))) for t in trajectories]
            row |= _mean_over(lengths, "cell_length_A")
        if "msd" in names and name != "all":
            value, error = diffusion(trajectories, name, blocks=blocks)
            row |= {"diffusion_A2_per_ps": value, "diffusion_A2_per_ps_se": _known(error)}
        rows.append(SUMMARY.row(status="ok", reason="", structure=first.name, **row))
    return rows


def _temperature(trajectories: Sequence[Trajectory], symbol: str | None) -> dict[str, Any]:
    series = [temperatures(t, symbol) for t in trajectories]
    row = _mean_over(series, "temperature_K")
    intervals = [t.interval_fs for t in trajectories]
    # The thermostat is not known from the files: species of a liquid need 0.5 ps to exchange energy under any.
    row["plateau"] = all(
        blocking_mean(s, relaxation=SPECIES_EXCHANGE_FS / interval if interval else 0.0).plateau
        for s, interval in zip(series, intervals, strict=True)
    )
    if all(t.interval_fs is not None for t in trajectories):
        slopes = [
            _drift(s, float(t.interval_fs or 0.0) / 1000.0, sum(symbol in (None, one) for one in t.symbols))
            for s, t in zip(series, trajectories, strict=True)
        ]
        value, error = mean([s.value for s in slopes], [s.error for s in slopes])
        row["drift_K_per_ps"] = _known(value)
        row["drift_K_per_ps_se"] = None if error is None else _known(error)
    return row


def _drift(temperature: NDArray[np.float64], interval_ps: float, n_atoms: int) -> Slope:
    """Slope of a temperature, K/ps, whose error is at least that of a slow exchange with the potential energy."""
    times: NDArray[np.float64] = np.arange(len(temperature), dtype=np.float64) * interval_ps
    length = float(times[-1]) if len(times) > 1 else 0.0
    least = temperature_slope_error(float(np.mean(temperature)), length, 3 * n_atoms) if length else 0.0
    return slope(times, temperature, floor=least)


def _mean_over(series: Sequence[Any], name: str) -> dict[str, Any]:
    means = [blocking_mean(np.asarray(s, dtype=np.float64)) for s in series]
    # The scatter of replicas is a better error estimate than one short series.
    value, error = mean([m.value for m in means], [m.error for m in means])
    return {name: value, f"{name}_se": None if error is None else _known(error)}


def _rows(
    schema: Any, curve: Curve, reference: Curve | None, common: dict[str, Any], x: str, y: str, difference: str
) -> list[dict[str, Any]]:
    apart = None if reference is None else curve.minus(reference)
    rows = []
    for k in range(len(curve.x)):
        values = {
            x: float(curve.x[k]),
            y: _known(curve.value[k]),
            f"{y}_se": _known(curve.error[k]),
            "blocks": curve.blocks,
        }
        if apart is not None:
            values |= {difference: _known(apart.value[k]), f"{difference}_se": _known(apart.error[k])}
        rows.append(schema.row(status="ok", reason="", **common, **values))
    return rows


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
