"""Errors of a checkpoint on held-out frames, and the learning curves of its training, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from ase.io import read
from curves import learning_curve

from ncbench.models.loading import load_forcefield
from ncbench.types import ForceMode, ModelRequest

SIGNIFICANT = 5


def errors(model: Path, frames: Sequence[Atoms]) -> pd.DataFrame:
    """MAE and RMSE of the energy (meV/atom) and of either kind of forces (meV/Å, over components).

    Reference forces have no net force, and neither do the direct ones as ncbench uses them. The energy's offset is not fitted.
    """
    rows = []
    for mode in ForceMode:
        forcefield = load_forcefield(ModelRequest(spec=f"{model}:{mode}"))
        results = [forcefield.evaluate([atoms])[0] for atoms in frames]
        off = np.concatenate([f.forces - a.arrays["forces_dft"] for f, a in zip(results, frames, strict=True)])
        rows.append(_row(f"{mode} forces", "meV/Å", off, len(frames)))
        if mode is ForceMode.CONSERVATIVE:
            off = np.array([(f.energy - a.info["energy_dft"]) / len(a) for f, a in zip(results, frames, strict=True)])
            rows.append(_row("energy", "meV/atom", off, len(frames)))
    return pd.DataFrame(rows)


def _row(quantity: str, unit: str, off: np.ndarray, n_frames: int) -> dict[str, object]:
    mev = 1000.0 * off
    mae, rmse = float(np.abs(mev).mean()), float(np.sqrt((mev**2).mean()))
    return {
        "quantity": quantity,
        "unit": unit,
        "mae": f"{mae:.{SIGNIFICANT}g}",
        "rmse": f"{rmse:.{SIGNIFICANT}g}",
        "frames": n_frames,
    }


def learning_curves(stages: Sequence[Path]) -> pd.DataFrame:
    """Every epoch of every stage; ``stage`` counts from 1."""
    frames = [learning_curve(stage).assign(stage=number) for number, stage in enumerate(stages, start=1)]
    epochs = pd.concat(frames, ignore_index=True)
    return epochs[["stage", *(column for column in epochs if column != "stage")]]


def evaluate(model: Path, work: Path, out: Path) -> pd.DataFrame:
    """Write ``errors.csv`` and ``learning_curves.csv`` into ``out``; returns the errors."""
    frames = read(work / "test.xyz", index=":")
    table = errors(model, frames)
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "errors.csv", index=False)
    learning_curves([work / "stage1", work / "stage2"]).to_csv(out / "learning_curves.csv", index=False)
    return table
