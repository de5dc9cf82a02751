"""The diagnostics in Python, for notebooks and training loops: no files, no global state changed.

``from ncbench import lambda_of`` loads this package; importing ``ncbench`` alone loads no torch.
"""

from __future__ import annotations

from ncbench.api.heating import HeatingResult, predict_heating
from ncbench.api.lambda_ import LambdaResult, lambda_of
from ncbench.api.measurement import (
    Measurement,
    accuracy,
    consistency,
    evaluate,
    measure,
    mts,
    npt,
    nve_drift,
    nvt,
    relax,
    timing,
    work_loop,
)
from ncbench.api.results import LoadedResults, load_results
from ncbench.prediction.antisymmetry_loss import antisymmetry_loss
from ncbench.prediction.heating_loss import HeatingBands, heating_loss

__all__ = [
    "HeatingBands",
    "HeatingResult",
    "LambdaResult",
    "LoadedResults",
    "Measurement",
    "accuracy",
    "antisymmetry_loss",
    "consistency",
    "evaluate",
    "heating_loss",
    "lambda_of",
    "load_results",
    "measure",
    "mts",
    "npt",
    "nve_drift",
    "nvt",
    "predict_heating",
    "relax",
    "timing",
    "work_loop",
]
