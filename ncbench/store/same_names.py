"""Distinguishes different structures of the same name: two files called POSCAR must never be averaged.

A row's ``system`` is the file's name without its folder. Where jobs of one results folder measured different structures under one name,
their systems and structures get six digits of a digest: ``POSCAR (1c2d3e)``.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ncbench.structures.systems import systems

if TYPE_CHECKING:
    import pandas as pd

_DIGITS = 6


def told_apart(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """``frame`` (columns ``job``, ``system``, ``structure``) with unique names of its structures.

    Named systems are not renamed: with different seeds they are samples of one distribution. ``folder`` is the results folder, whose
    job provenances identify the structures; rows of a job without it are not changed.
    """
    if not {"job", "system", "structure"} <= set(frame.columns):
        return frame
    suffixes = _suffixes(frame, folder)
    if not suffixes:
        return frame
    renamed = frame.copy()
    for (job, system), suffix in suffixes.items():
        rows = (renamed["job"] == job) & (renamed["system"] == system)
        label = f"{system} ({suffix})"
        renamed.loc[rows, "system"] = label
        renamed.loc[rows, "structure"] = [
            label + name[len(system) :] if name.startswith(f"{system}#") else name
            for name in renamed.loc[rows, "structure"].astype(str)
        ]
    return renamed


def table_told_apart(table: pa.Table, folder: Path) -> pa.Table:
    """:func:`told_apart` of an Arrow table, for CSV files: Parquet files keep the names as typed."""
    names = ("job", "system", "structure")
    if not set(names) <= set(table.column_names):
        return table
    plain = table.select(names).to_pandas()
    renamed = told_apart(plain, folder)
    if renamed is plain:
        return table
    for name in names[1:]:
        place = table.schema.get_field_index(name)
        column = pa.array(renamed[name], table.schema.field(place).type, from_pandas=True)
        table = table.set_column(place, table.schema.field(place), column)
    return table


def _suffixes(frame: pd.DataFrame, folder: Path) -> dict[tuple[str, str], str]:
    """(job, system) → digits, for the jobs whose structures share a name with different ones."""
    known = systems()
    jobs: dict[str, list[str]] = defaultdict(list)
    for job, system in frame[["job", "system"]].drop_duplicates().itertuples(index=False):
        if system not in known:
            jobs[str(system)].append(str(job))
    suffixes: dict[tuple[str, str], str] = {}
    for system, members in jobs.items():
        if len(members) < 2:
            continue
        measured = {job: _structures(folder, job) for job in members}
        contents: dict[str, set[str]] = defaultdict(set)
        for structures in measured.values():
            for name, content in structures.items():
                contents[name].add(content)
        for job, structures in measured.items():
            doubtful = [f"{name} {content}" for name, content in sorted(structures.items()) if len(contents[name]) > 1]
            if doubtful:
                suffixes[job, system] = hashlib.sha256("\n".join(doubtful).encode()).hexdigest()[:_DIGITS]
    return suffixes


def _structures(folder: Path, job: str) -> Mapping[str, str]:
    """Digests of a job's structures by their names; empty if its provenance is missing or does not contain them."""
    path = folder / "jobs" / job / "provenance.json"
    try:
        stat = path.stat()
        return _read_structures(path.absolute(), stat.st_size, stat.st_mtime_ns)
    except (OSError, ValueError):
        return {}


@lru_cache(maxsize=200_000)
def _read_structures(path: Path, size: int, mtime_ns: int) -> Mapping[str, str]:  # noqa: ARG001 - a changed file is a new entry
    record = json.loads(path.read_text(encoding="utf-8"))
    request = record.get("request")
    structures = request.get("structures") if isinstance(request, dict) else None
    return {str(name): str(content) for name, content in structures.items()} if isinstance(structures, dict) else {}
