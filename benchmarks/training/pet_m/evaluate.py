"""Errors of a checkpoint on held-out frames, and the learning curves of its training, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from ase.io import read

from ncbench.forcefields.loading import load_forcefield
from ncbench.forcefields.request import ForceMode, ModelRequest

SIGNIFICANT = 5


def errors(model: Path, frames: Sequence[Atoms]) -> pd.DataFrame:
    """MAE and RMSE of the energy (meV/atom) and of either kind of forces (meV/Å, over components).

    Reference forces have no net force, and neither do the direct ones as ncbench uses them. The energy's offset is not fitted.
    """
    rows = []
    for mode in ForceMode:
        forcefield = load_forcefield(ModelRequest(spec=f"{model}:{mode}"))
        found = [forcefield.evaluate([atoms])[0] for atoms in frames]
        off = np.concatenate([f.forces - a.arrays["forces_dft"] for f, a in zip(found, frames, strict=True)])
        rows.append(_row(f"{mode} forces", "meV/Å", off, len(frames)))
        if mode is ForceMode.CONSERVATIVE:
            off = np.array([(f.energy - a.info["energy_dft"]) / len(a) for f, a in zip(found, frames, strict=True)])
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
    """Every epoch of every stage (metatrain's ``train.csv``), units in the column names.

    A stage that was interrupted has a log a start; epochs that it repeated count as it last ran them.
    """
    frames = []
    for number, stage in enumerate(stages, start=1):
        for log in sorted(stage.glob("outputs/*/*/train.csv")):
            frame = pd.read_csv(log, header=[0, 1], skipinitialspace=True)
            frame.columns = [_column(name, unit) for name, unit in frame.columns]
            frame.insert(0, "stage", number)
            frames.append(frame)
    return (
        pd.concat(frames)
        .drop_duplicates(["stage", "epoch"], keep="last")
        .sort_values(["stage", "epoch"], ignore_index=True)
    )


def _column(name: str, unit: str) -> str:
    plain = name.lower().replace(" (per atom)", "").replace(" ", "_")
    ending = "" if unit.startswith("Unnamed") or not unit.strip() else "_" + unit.strip().replace("/A", "_per_A")
    # "(per atom)" in the log says how the energy was divided; forces are an atom's anyway.
    return plain + ending + ("_per_atom" if "(per atom)" in name and "energy" in name else "")


def evaluate(model: Path, work: Path, out: Path) -> pd.DataFrame:
    """Write ``errors.csv`` and ``learning_curves.csv`` into ``out``; returns the errors."""
    frames = read(work / "test.xyz", index=":")
    table = errors(model, frames)
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "errors.csv", index=False)
    learning_curves([work / "stage1", work / "stage2"]).to_csv(out / "learning_curves.csv", index=False)
    return table
