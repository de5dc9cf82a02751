"""Files in the formats of other suites, from results of their protocols: ml-peg's table of metrics and mlipaudit's ``result.json``.

- ml-peg: the JSON file of a table of metrics, as ``ml_peg/analysis/utils/decorators.py`` (``build_table``) writes and ``ml_peg/app/utils/load.py`` (``rebuild_table``) reads it, with
  the metrics and thresholds of ``ml_peg/analysis/physicality/jacobian_symmetry/metrics.yml`` (ddmms/ml-peg, commits 6a03c7a and eb6572e).
- mlipaudit: ``MODEL/nve_energy_conservation/result.json`` with the fields of ``NVEEnergyConservationResult`` (instadeepai/mlipaudit, commit 4fa6de4) and ``mlipaudit/io.py``.

File formats alone: nothing of these packages is needed to write them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import ncbench
from ncbench.diagnostics import protocols
from ncbench.diagnostics.protocols import ML_PEG_LAMBDA, MLIPAUDIT_NVE
from ncbench.errors import UsageError
from ncbench.report.read import read_every_row
from ncbench.store.files import store_errors, write_atomic
from ncbench.store.layout import merged_path

ML_PEG_FILE = "jacobian_symmetry_metrics_table.json"
ML_PEG_METRICS: Mapping[str, tuple[str, str]] = {
    "mean lambda": ("lambda_mean", "Mean over ten structures of the antisymmetric share of the force Jacobian"),
    "max lambda": ("lambda_max", "Largest over ten structures of the antisymmetric share of the force Jacobian"),
}
"""ml-peg's metric → our column, and its description."""
MLIPAUDIT_BENCHMARK = "nve_energy_conservation"
MLIPAUDIT_CLASS = "other"
"""mlipaudit's classes of systems (vacuum, bulk_water, solvated) are those of its own structures."""


def write_ml_peg(folder: Path, out: Path) -> tuple[list[Path], list[str]]:
    """Write ml-peg's table from the results of ``lambda --protocol ml-peg-lambda``; returns the file, and sentences on models without numbers.

    Raises:
        UsageError: the folder has no such results.
        StoreError: a table cannot be read, or the file not written.
    """
    rows = _table(folder, "lambda", "protocol", "ncbench lambda --protocol ml-peg-lambda")
    table, notes = ml_peg_table(_records(rows))
    return [_write(out / ML_PEG_FILE, table)], notes


def ml_peg_table(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """ml-peg's table from rows of ``lambda-protocol``, and sentences on models without numbers. A model measured on other structures has none, as in ml-peg."""
    chosen: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        name = _label(row)
        if name not in chosen or _nearness(row) >= _nearness(chosen[name]):
            chosen[name] = row
    data, notes = [], []
    for name, row in chosen.items():
        whole = _is_whole(row)
        if not whole:
            notes.append(f"{name} has no numbers in the table: {row['differs'] or 'not all ten structures have a λ'}.")
        metrics = {metric: float(row[column]) if whole else None for metric, (column, _) in ML_PEG_METRICS.items()}
        data.append({"MLIP": name, **metrics, "id": name, "Score": float(row["fraction_score"]) if whole else None})
    thresholds = {
        metric: {"good": protocols.ML_PEG_GOOD, "bad": protocols.ML_PEG_BAD, "unit": None, "level_of_theory": None}
        for metric in ML_PEG_METRICS
    }
    tooltips = {metric: text for metric, (_, text) in ML_PEG_METRICS.items()}
    return {
        "data": data,
        "columns": [{"name": column, "id": column} for column in ("MLIP", "Score", *ML_PEG_METRICS)],
        "tooltip_header": tooltips
        | {"MLIP": "Model and force mode", "Score": "Mean of the metrics' scores, 1 is best"},
        "thresholds": thresholds,
        "weights": dict.fromkeys(ML_PEG_METRICS, 1.0),
        "model_levels_of_theory": dict.fromkeys(chosen),
        "metric_levels_of_theory": dict.fromkeys(ML_PEG_METRICS),
        "model_configs": {name: {} for name in chosen},
        "model_name_map": {name: name for name in chosen},
    }, notes


def _is_whole(row: Mapping[str, Any]) -> bool:
    """Whether all ten structures have a λ, with the published settings."""
    return not pd.isna(row["fraction_score"]) and not row["differs"]


def _nearness(row: Mapping[str, Any]) -> tuple[bool, bool, bool]:
    """Orders the jobs of a model by how near they are to the published protocol: in its settings and structures, in all ten structures, or on ml-peg's own."""
    return _is_whole(row), not pd.isna(row["fraction_score"]), row["system"] == ML_PEG_LAMBDA.system


def write_mlipaudit(folder: Path, out: Path) -> tuple[list[Path], list[str]]:
    """Write a ``result.json`` for each model from the results of ``nve-drift --protocol mlipaudit-nve``; returns the files, and sentences on what is not as published.

    Of several runs of a structure the longest is taken.

    Raises:
        UsageError: the folder has no such results.
        StoreError: a table cannot be read, or a file not written.
    """
    command = "ncbench nve-drift --protocol mlipaudit-nve"
    rows = _table(folder, "nve-drift", "protocol", command)
    rows = rows[rows["protocol"] == MLIPAUDIT_NVE.name]
    if not len(rows):
        raise _absent(folder, command)
    series = read_every_row(merged_path(folder, "nve-drift", "protocol_series"))
    runs = read_every_row(merged_path(folder, "nve-drift"))
    paths, notes = [], []
    for name, of_model in rows.groupby(rows.apply(_label, axis=1), sort=False):
        results = []
        for _, of_structure in of_model.groupby("structure", sort=False):
            row = _records(
                of_structure.assign(length=of_structure["steps"] * of_structure["timestep_fs"]).sort_values(
                    "length", kind="stable"
                )
            )[-1]
            results.append(_structure_result(row, _snapshots(series, row)))
            if row["differs"]:
                notes.append(f"{name}, {row['structure']} is not as published: {row['differs']}.")
        skipped = (
            0 if runs is None else int(((runs.apply(_label, axis=1) == name) & (runs["status"] == "unsupported")).sum())
        )
        path = out / _file_name(str(name)) / MLIPAUDIT_BENCHMARK / "result.json"
        paths.append(_write(path, mlipaudit_result(results, skipped)))
    return paths, notes


def mlipaudit_result(structures: Sequence[Mapping[str, Any]], skipped: int) -> dict[str, Any]:
    """mlipaudit's ``NVEEnergyConservationResult``: its score is the mean over the structures."""
    scores = [one["score"] for one in structures if one["score"] is not None]
    return {
        "failed": not scores,
        "score": float(np.mean(scores)) if scores else None,
        "structure_results": list(structures),
        "n_skipped_unallowed_elements": skipped,
    }


def _structure_result(row: Mapping[str, Any], snapshots: pd.DataFrame) -> dict[str, Any]:
    description = f"{row['system']}, measured by ncbench {ncbench.__version__}"
    common = {
        "structure_name": str(row["structure"]),
        "description": f"{description}; not as published: {row['differs']}" if row["differs"] else description,
        "system_class": MLIPAUDIT_CLASS,
        "num_atoms": int(row["n_atoms"]),
        "skipped": False,
    }
    times, total, kinetic = (snapshots[name].to_numpy(float) for name in ("time_fs", "total_eV", "kinetic_eV"))
    numbers = None if row["status"] == "exploded" else protocols.mlipaudit_nve(times / 1000.0, total, kinetic)
    if numbers is None:
        absent = (
            "drift_slope_ev_per_ps",
            "total_drift_ev",
            "kinetic_energy_std_ev",
            "energy_drift_ratio",
            "intercept_ev",
        )
        empty = {"num_frames": 0, "times_ps": [], "energy_drift_ev": []}
        return common | empty | dict.fromkeys(absent) | {"failed": True, "score": 0.0}
    times_ps, drift = times / 1000.0, total - total[0]
    return common | {
        "num_frames": len(times),
        "times_ps": times_ps.tolist(),
        "energy_drift_ev": drift.tolist(),
        "drift_slope_ev_per_ps": numbers.slope_eV_per_ps,
        "total_drift_ev": numbers.ratio * numbers.kinetic_sd_eV,
        "kinetic_energy_std_ev": numbers.kinetic_sd_eV,
        "energy_drift_ratio": numbers.ratio,
        # A least-squares line passes through the means.
        "intercept_ev": float(drift.mean() - numbers.slope_eV_per_ps * times_ps.mean()),
        "failed": False,
        "score": numbers.score,
    }


def _snapshots(series: pd.DataFrame | None, row: Mapping[str, Any]) -> pd.DataFrame:
    columns = ["time_fs", "total_eV", "kinetic_eV"]
    if series is None:
        return pd.DataFrame({name: [] for name in columns})
    keys = ("job", "structure", "protocol", "timestep_fs")
    mask = np.logical_and.reduce([series[key] == row[key] for key in keys])
    return series.loc[mask, columns].sort_values("time_fs")


def _table(folder: Path, diagnostic: str, side: str, command: str) -> pd.DataFrame:
    frame = read_every_row(merged_path(folder, diagnostic, side))
    if frame is None:
        raise _absent(folder, command)
    return frame.fillna({"differs": ""})


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _absent(folder: Path, command: str) -> UsageError:
    return UsageError(f"The folder '{folder}' has no results of the protocol.", hint=f"Run: {command} --out {folder}")


def _label(row: Mapping[str, Any]) -> str:
    return "-".join(filter(None, (str(row["model"]), str(row["force_mode"]))))


def _file_name(label: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in label)


def _write(path: Path, content: Mapping[str, Any]) -> Path:
    with store_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
    return path
