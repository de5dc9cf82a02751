"""Drift against the time step: is it caused by the integrator or by the forces?

The energy error of velocity Verlet for a conservative system falls as Δt² or faster (Hairer, Lubich & Wanner, Geometric Numerical
Integration, 2006, ch. IX); the power of a non-conservative force does not depend on Δt. So drift = a + b Δt^p is fitted, with the
errors of the drifts: a is caused by the forces, b Δt^p by the integrator; p = 2, or 4 or 6 if 2 does not fit and these fit better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ncbench.md.schemas import TIMESTEPS
from ncbench.statistics.intervals import SIGMAS
from ncbench.types import Status

FloatArray = NDArray[np.float64]

POWERS = (2, 4, 6)


class Verdict(StrEnum):
    """Cause of the drift."""

    FORCES = "forces"
    INTEGRATOR = "integrator"
    BOTH = "both"
    NONE = "none"


def timestep_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per structure from the rows of its runs at several time steps."""
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
    fit = _fit(steps, drift, error)
    shortest = int(np.argmin(steps))
    # If no power fits, the intercept alone is no evidence: the drift at the shortest step must be nonzero too.
    at_all = fit.fits or abs(drift[shortest]) > SIGMAS * error[shortest]
    if len(good) == 2:
        # Two steps fit every power. For any p ≥ 2 the limit lies between that for p = 2 and the drift at the shorter step (p → ∞): it is
        # nonzero only if both are, with one sign. A drift that falls faster than Δt² has a limit of the other sign for p = 2.
        at_all = abs(drift[shortest]) > SIGMAS * error[shortest] and drift[shortest] * fit.limit > 0
    order, order_se = _order(steps, drift, error)
    return TIMESTEPS.row(
        **where,
        n_timesteps=len(good),
        timestep_least_fs=float(steps.min()),
        timestep_most_fs=float(steps.max()),
        limit_meV_per_atom_per_ps=fit.limit,
        limit_meV_per_atom_per_ps_se=fit.limit_se,
        power=fit.power,
        curve_meV_per_atom_per_ps=fit.curve,
        quadratic_meV_per_atom_per_ps_per_fs2=fit.curve if fit.power == 2 else None,
        quadratic_meV_per_atom_per_ps_per_fs2_se=fit.curve_se if fit.power == 2 else None,
        ratio_order=order,
        ratio_order_se=order_se,
        ratio_chi2=fit.chi2 / (len(good) - 2) if len(good) > 2 else None,
        verdict=_verdict(
            at_all and abs(fit.limit) > SIGMAS * fit.limit_se, abs(fit.curve) > SIGMAS * fit.curve_se
        ).value,
        status=Status.OK,
        reason="",
    )


@dataclass(frozen=True)
class _Fit:
    """drift = limit + curve Δt^power."""

    power: int
    limit: float
    limit_se: float
    curve: float
    curve_se: float
    chi2: float
    fits: bool
    """Whether χ² is below its 99 % quantile."""


def _fit(steps: FloatArray, drift: FloatArray, error: FloatArray) -> _Fit:
    fits = [_fit_of(power, steps, drift, error) for power in POWERS]
    return fits[0] if fits[0].fits else min(fits, key=lambda fit: fit.chi2)


def _fit_of(power: int, steps: FloatArray, drift: FloatArray, error: FloatArray) -> _Fit:
    """Weighted least squares."""
    design = np.stack([np.ones_like(steps), steps**power], axis=1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    limit, curve = (float(v) for v in covariance @ design.T @ (drift / error))
    limit_se, curve_se = (float(v) for v in np.sqrt(np.diag(covariance)))
    chi2 = float(np.sum(((drift - limit - curve * steps**power) / error) ** 2))
    degrees = len(steps) - 2
    return _Fit(
        power, limit, limit_se, curve, curve_se, chi2, degrees == 0 or bool(stats.chi2.sf(chi2, degrees) > 0.01)
    )


def _verdict(forces: bool, integrator: bool) -> Verdict:
    if forces:
        return Verdict.BOTH if integrator else Verdict.FORCES
    return Verdict.INTEGRATOR if integrator else Verdict.NONE


def _order(steps: FloatArray, drift: FloatArray, error: FloatArray) -> tuple[float | None, float | None]:
    """Weighted slope of ln|drift| against ln Δt over the drifts that differ from zero."""
    resolved = np.abs(drift) > SIGMAS * error
    if resolved.sum() < 3 or len({math.copysign(1.0, d) for d in drift[resolved]}) > 1:
        return None, None
    x, y, weight = np.log(steps[resolved]), np.log(np.abs(drift[resolved])), np.abs(drift[resolved]) / error[resolved]
    design = np.stack([np.ones_like(x), x], axis=1) * weight[:, None]
    covariance = np.linalg.inv(design.T @ design)
    return float((covariance @ design.T @ (y * weight))[1]), float(np.sqrt(covariance[1, 1]))
