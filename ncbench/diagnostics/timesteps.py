"""Drift against the time step: is it the integrator's, or the forces'?

What velocity Verlet does to the energy of a conservative system falls as Δt² or faster (Hairer, Lubich & Wanner, Geometric Numerical
Integration, 2006, ch. IX); the power of a non-conservative force is there at any Δt. So drift = a + b Δt² is fitted, with the
errors of the drifts: a is the forces', b the integrator's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np

from ncbench.results.schema import Column, Status, TableSchema

SIGMAS = 3.0
"""Standard errors from which a number is told from zero."""


class Verdict(StrEnum):
    """Whose drift it is."""

    FORCES = "the forces'"
    INTEGRATOR = "the integrator's"
    BOTH = "both"
    NONE = "none beyond its error"


TIMESTEPS = TableSchema(
    "nve-drift-timesteps",
    1,
    (
        Column("n_timesteps", "int", "", "time steps in the fit; runs that exploded are left out"),
        Column("timestep_least_fs", "float", "fs", "shortest of them"),
        Column("timestep_most_fs", "float", "fs", "longest of them"),
        Column(
            "limit_meV_per_atom_per_ps", "float", "meV/atom/ps", "a of drift = a + b Δt²: what no time step removes"
        ),
        Column("limit_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("quadratic_meV_per_atom_per_ps_per_fs2", "float", "meV/atom/ps/fs²", "b"),
        Column("quadratic_meV_per_atom_per_ps_per_fs2_se", "float", "meV/atom/ps/fs²", "its standard error"),
        Column("ratio_order", "float", "", "p of |drift| ∝ Δt^p, where three drifts are told from zero"),
        Column("ratio_order_se", "float", "", "its standard error"),
        Column("ratio_chi2", "float", "", "squared residuals of the fit over their degrees of freedom"),
        Column("verdict", "str", "", "the forces', the integrator's, both, or none beyond its error"),
    ),
)


def timestep_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row a structure from the rows of its runs at several time steps."""
    names = list(dict.fromkeys(row["structure"] for row in rows))
    return [_row([row for row in rows if row["structure"] == name]) for name in names]


def _row(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    where = {"structure": runs[0]["structure"], "n_atoms": runs[0]["n_atoms"]}
    good = [
        run
        for run in runs
        if run["status"] == Status.OK
        and run["energy_drift_meV_per_atom_per_ps"] is not None
        and run["energy_drift_meV_per_atom_per_ps_se"]
    ]
    if len(good) < 2:
        reason = "fewer than two time steps gave a drift with an error"
        return TIMESTEPS.row(**where, n_timesteps=len(good), status=Status.FAILED, reason=reason)
    steps = np.array([run["timestep_fs"] for run in good])
    drift = np.array([run["energy_drift_meV_per_atom_per_ps"] for run in good])
    error = np.array([run["energy_drift_meV_per_atom_per_ps_se"] for run in good])
    design = np.stack([np.ones_like(steps), steps**2], axis=1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    limit, quadratic = (float(v) for v in covariance @ design.T @ (drift / error))
    limit_se, quadratic_se = (float(v) for v in np.sqrt(np.diag(covariance)))
    residual = float(np.sum(((drift - limit - quadratic * steps**2) / error) ** 2))
    order, order_se = _order(steps, drift, error)
    return TIMESTEPS.row(
        **where,
        n_timesteps=len(good),
        timestep_least_fs=float(steps.min()),
        timestep_most_fs=float(steps.max()),
        limit_meV_per_atom_per_ps=limit,
        limit_meV_per_atom_per_ps_se=limit_se,
        quadratic_meV_per_atom_per_ps_per_fs2=quadratic,
        quadratic_meV_per_atom_per_ps_per_fs2_se=quadratic_se,
        ratio_order=order,
        ratio_order_se=order_se,
        ratio_chi2=residual / (len(good) - 2) if len(good) > 2 else None,
        verdict=_verdict(abs(limit) > SIGMAS * limit_se, abs(quadratic) > SIGMAS * quadratic_se).value,
        status=Status.OK,
        reason="",
    )


def _verdict(forces: bool, integrator: bool) -> Verdict:
    if forces:
        return Verdict.BOTH if integrator else Verdict.FORCES
    return Verdict.INTEGRATOR if integrator else Verdict.NONE


def _order(steps: Any, drift: Any, error: Any) -> tuple[float | None, float | None]:
    """Weighted slope of ln|drift| against ln Δt over the drifts that are told from zero."""
    told = np.abs(drift) > SIGMAS * error
    if told.sum() < 3 or len({math.copysign(1.0, d) for d in drift[told]}) > 1:
        return None, None
    x, y, weight = np.log(steps[told]), np.log(np.abs(drift[told])), np.abs(drift[told]) / error[told]
    design = np.stack([np.ones_like(x), x], axis=1) * weight[:, None]
    covariance = np.linalg.inv(design.T @ design)
    return float((covariance @ design.T @ (y * weight))[1]), float(np.sqrt(covariance[1, 1]))
