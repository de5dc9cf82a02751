"""λ over many structures: mean, spread and the error of the mean, one row per model and system.

The structures are the clusters: probes of one structure share its configuration, so that only structures are resampled (Efron & Tibshirani
1993, ch. 8). The resampled values include their probe errors, so the error contains both. For few structures the bootstrap error is
too small: it is multiplied by (n/(n − 1))^½, and its interval is Student's t with n − 1 degrees of freedom. Neither error nor interval is
less than that from the probes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import t

from ncbench.statistics.intervals import Z_95

RESAMPLES = 2000


def summarise(values: Sequence[float], errors: Sequence[float | None], rng: np.random.Generator) -> dict[str, Any]:
    """Columns of the table ``lambda-summary`` for at least two structures with λ and its standard error.

    The spread is the standard deviation from structure to structure, corrected for the contribution of the structures' own errors.
    """
    lam = np.asarray(values, dtype=np.float64)
    own = np.array([error if error is not None and np.isfinite(error) else 0.0 for error in errors])
    n = len(lam)
    within = float(np.mean(own**2))
    draws = rng.integers(0, n, size=(RESAMPLES, n))
    between = float(np.std(lam[draws].mean(axis=1), ddof=1)) * np.sqrt(n / (n - 1))
    error = max(float(between), float(np.sqrt(within / n)))
    # Student's t is due to the few structures whose spread is measured, not to the structures' own errors.
    half = max(float(t.ppf(0.975, n - 1)) * between, Z_95 * float(np.sqrt(within / n)))
    mean = float(lam.mean())
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
