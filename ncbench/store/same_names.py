"""Distinguishes different structures, and different models, of the same name: two files called POSCAR or model.pt must never be averaged.

A row's ``system`` and ``model`` are the files' names without their folders. Where jobs of one results folder measured different structures or models
under one name, the names get six digits of a digest: ``POSCAR (1c2d3e)``.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ncbench.structures.systems import systems

if TYPE_CHECKING:
    import pandas as pd

_DIGITS = 6
_COLUMNS = ("job", "model", "system", "structure")


def with_digits(name: str, digest: str) -> str:
    """The name that tells a model or structure from others of the same name: ``POSCAR (1c2d3e)``."""
    return f"{name} ({digest[:_DIGITS]})"


def without_digits(names: pd.Series[str]) -> pd.Series[str]:
    """Names as they were before :func:`with_digits`."""
    return names.astype(str).str.replace(rf" \([0-9a-f]{{{_DIGITS}}}\)$", "", regex=True)


def told_apart(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """``frame`` (columns ``job``, ``model``, ``system``, ``structure``) with unique names of its structures and models.

    Named systems are not renamed: with different seeds they are samples of one distribution. ``folder`` is the results folder, whose
    job provenances identify the structures; rows of a job without it are not changed.
    """
    if not set(_COLUMNS) <= set(frame.columns):
        return frame
    suffixes, of_models = _suffixes(frame, folder), _suffixes_of_models(frame, folder)
    if not suffixes and not of_models:
        return frame
    renamed = frame.copy()
    for (job, model), suffix in of_models.items():
        renamed.loc[(renamed["job"] == job) & (renamed["model"] == model), "model"] = with_digits(model, suffix)
    for (job, system), suffix in suffixes.items():
        rows = (renamed["job"] == job) & (renamed["system"] == system)
        label = with_digits(system, suffix)
        renamed.loc[rows, "system"] = label
        renamed.loc[rows, "structure"] = [
            label + name[len(system) :] if name.startswith(f"{system}#") else name
            for name in renamed.loc[rows, "structure"].astype(str)
        ]
    return renamed


def table_told_apart(table: pa.Table, folder: Path) -> pa.Table:
    """:func:`told_apart` of an Arrow table, for CSV files: Parquet files keep the names as typed."""
    if not set(_COLUMNS) <= set(table.column_names):
        return table
    plain = table.select(_COLUMNS).to_pandas()
    renamed = told_apart(plain, folder)
    if renamed is plain:
        return table
    for name in _COLUMNS[1:]:
        place = table.schema.get_field_index(name)
        column = pa.array(renamed[name], table.schema.field(place).type, from_pandas=True)
        table = table.set_column(place, table.schema.field(place), column)
    return table


def _suffixes(frame: pd.DataFrame, folder: Path) -> dict[tuple[str, str], str]:
    """(job, system) → digest, for the jobs whose structures share a name with different ones."""
    known = systems()
    jobs: dict[str, list[str]] = defaultdict(list)
    for job, system in frame[["job", "system"]].drop_duplicates().itertuples(index=False):
        if system not in known:
            jobs[str(system)].append(str(job))
    suffixes: dict[tuple[str, str], str] = {}
    for system, members in jobs.items():
        if len(members) < 2:
            continue
        measured = {job: _measured(folder, job).structures for job in members}
        contents: dict[str, set[str]] = defaultdict(set)
        for structures in measured.values():
            for name, content in structures.items():
                contents[name].add(content)
        for job, structures in measured.items():
            doubtful = [f"{name} {content}" for name, content in sorted(structures.items()) if len(contents[name]) > 1]
            if doubtful:
                suffixes[job, system] = hashlib.sha256("\n".join(doubtful).encode()).hexdigest()
    return suffixes


def _suffixes_of_models(frame: pd.DataFrame, folder: Path) -> dict[tuple[str, str], str]:
    """(job, model) → digest, for the jobs whose model shares its name with one from another file."""
    jobs: dict[str, dict[str, str]] = defaultdict(dict)
    for job, model in frame[["job", "model"]].drop_duplicates().itertuples(index=False):
        if content := _measured(folder, str(job)).model:
            jobs[str(model)][str(job)] = content
    return {
        (job, model): content
        for model, contents in jobs.items()
        if len(set(contents.values())) > 1
        for job, content in contents.items()
    }


@dataclass(frozen=True)
class _Measured:
    """What a job measured, by its provenance."""

    model: str = ""
    """Digest of the file that the model comes from; empty if it is installed, or not known."""
    structures: Mapping[str, str] = field(default_factory=dict)
    """Digests of the structures by their names; empty if not known."""


def same_question(folder: Path, job: str, *, model: str, structures: Mapping[str, str]) -> bool:
    """Whether a job is of this model and these structures, as far as its provenance tells them from others of the same names.

    Args:
        folder: the results folder.
        job: key of the job.
        model: digest of the file that the model comes from; empty if it is installed.
        structures: digests by name.
    """
    measured = _measured(folder, job)
    if model and measured.model and measured.model != model:
        return False
    return all(structures.get(name, content) == content for name, content in measured.structures.items())


def _measured(folder: Path, job: str) -> _Measured:
    """Empty if its provenance is missing."""
    path = folder / "jobs" / job / "provenance.json"
    try:
        stat = path.stat()
        return _read(path.absolute(), stat.st_size, stat.st_mtime_ns)
    except (OSError, ValueError):
        return _Measured()


@lru_cache(maxsize=200_000)
def _read(path: Path, size: int, mtime_ns: int) -> _Measured:  # noqa: ARG001 - a changed file is a new entry
    record = json.loads(path.read_text(encoding="utf-8"))
    request = record.get("request")
    if not isinstance(request, dict):
        return _Measured()
    structures, model = request.get("structures"), request.get("model")
    return _Measured(
        str(model.get("file_sha256", "")) if isinstance(model, dict) else "",
        {str(name): str(content) for name, content in structures.items()} if isinstance(structures, dict) else {},
    )
