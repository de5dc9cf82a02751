"""λ over many structures: mean, spread and the error of the mean, a line a model and system.

The structures are the clusters: probes of one structure share its configuration, so that only structures are resampled (Efron & Tibshirani
1993, ch. 8). What is resampled are measured values, probe error and all, so the error holds both. Of few structures the bootstrap knows
too little: its error is widened by (n/(n − 1))^½, is not let below what the probes alone leave, and the interval is Student's t of n − 1
degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import t

RESAMPLES = 2000


def summarise(values: Sequence[float], errors: Sequence[float | None], rng: np.random.Generator) -> dict[str, Any]:
    """Columns of the table ``lambda-summary`` for structures with λ and its standard error each; two structures at least.

    The spread is the standard deviation from structure to structure, with what the structures' own errors add to it taken out.
    """
    lam = np.asarray(values, dtype=np.float64)
    own = np.array([error if error is not None and np.isfinite(error) else 0.0 for error in errors])
    n = len(lam)
    within = float(np.mean(own**2))
    draws = rng.integers(0, n, size=(RESAMPLES, n))
    between = float(np.std(lam[draws].mean(axis=1), ddof=1)) * np.sqrt(n / (n - 1))
    error = max(float(between), float(np.sqrt(within / n)))
    mean, half = float(lam.mean()), float(t.ppf(0.975, n - 1)) * error
    return {
        "n_structures": n,
        "lambda": mean,
        "lambda_sd": float(np.sqrt(max(0.0, float(np.var(lam, ddof=1)) - within))),
        "lambda_se": error,
        "lambda_low": max(0.0, mean - half),
        "lambda_high": min(1.0, mean + half),
        "lambda_least": float(lam.min()),
        "lambda_most": float(lam.max()),
    }
