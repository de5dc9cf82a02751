"""Result tables as they are read from files, made of a few rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def rows(model: str, entries: list[dict[str, Any]], **shared: Any) -> pd.DataFrame:
    """A result table as it is read from a file."""
    name, _, mode = model.partition(":")
    common = {
        "model": name, "force_mode": mode, "system": "water64", "structure": "water64#0", "seed": 0, "dtype": "float32",
        "device": "cpu", "status": "ok", "reason": "",
    }  # fmt: skip
    return pd.DataFrame([common | shared | entry for entry in entries])


def nvt(model: str = "sevennet-0:conservative", **shared: Any) -> pd.DataFrame:
    """Means under SVR, τ = 10 fs, with the errors ±0.4 (all), ±3 (H), ±0 (O)."""
    entries = [
        {"species": "all", "temperature_K": 300.6, "temperature_K_se": 0.3},
        {"species": "H", "temperature_K": 298.0, "temperature_K_se": 3.0},
        {"species": "O", "temperature_K": 306.0, "temperature_K_se": np.nan},
    ]
    defaults = {
        "thermostat": "svr",
        "tau_fs": 10.0,
        "target_K": 300.0,
        "steps": 40000,
        "timestep_fs": 0.5,
        "plateau": True,
    }
    result = rows(model, entries, **(defaults | shared))
    return result.assign(temperature_excess_K=result["temperature_K"] - 300.0)
