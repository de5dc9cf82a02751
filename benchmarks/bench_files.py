"""What the benchmarks share: the clock, the conditions of a row, and tables that keep the rows of other runs."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import ncbench
from ncbench import allocator
from ncbench.models.division.connection import Helper
from ncbench.models.division.divided import DividedForceField
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.types import ModelRequest


def now() -> float:
    """Seconds: CPU time of this process with one thread, which other programs on the machine change little; wall time with several."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def prepare(threads: int) -> None:
    """The threads of torch, and the allocator settings of the command line, which an ASE calculator in this process has as well."""
    torch.set_num_threads(threads)
    allocator.keep_pages()


def loaded(spec: str) -> ForceField:
    """The model; with several threads, shared by as many processes of one thread, as a long job has it. They end with this process."""
    request = ModelRequest(spec=spec)
    forcefield = load_forcefield(request)
    helpers = [Helper() for _ in range(torch.get_num_threads() - 1)]
    return DividedForceField(forcefield, request, helpers) if helpers else forcefield


def on_cores() -> str:
    """What the name of a measurement on several cores ends with; empty on one."""
    return "" if torch.get_num_threads() == 1 else f" on {torch.get_num_threads()} cores"


def conditions() -> str:
    """The machine, the versions, the load and the day."""
    threads = torch.get_num_threads()
    return (
        f"{processor()}, {threads} thread{'' if threads == 1 else 's'}, {'CPU' if threads == 1 else 'wall'} time, heap: {allocator.policy()}, "
        f"load average {os.getloadavg()[0]:.1f}, torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}, "
        f"ncbench {ncbench.__version__}, {time.strftime('%Y-%m-%d')}"
    )


def processor() -> str:
    """The processor's name, if the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def merged(path: Path, rows: Sequence[dict[str, Any]], key: str) -> pd.DataFrame:
    """The rows with those of ``path`` whose ``key`` they do not replace, written there; rows without conditions get those of today."""
    table = pd.DataFrame([{"conditions": conditions()} | dict(row) for row in rows])
    if path.is_file():
        before = pd.read_csv(path)
        table = pd.concat([before[~before[key].isin(table[key])], table], ignore_index=True)
    table = table[[*(name for name in table.columns if name != "conditions"), "conditions"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.6g")
    return table


def listing(table: pd.DataFrame, unit: bool = True) -> list[str]:
    """Lines of a Markdown table of ratios with their ranges, and under it the conditions of each row by number."""
    known = list(dict.fromkeys(table["conditions"]))
    lines = ["| what | value | range | note | conditions |", "|---|---|---|---|---|"]
    for row in table.to_dict("records"):
        spread = "" if pd.isna(row.get("low")) else f"{row['low']:.3g} to {row['high']:.3g}"
        value = (
            f"{row['value']:.3g} {row['unit']}".strip() if unit and not pd.isna(row["unit"]) else f"{row['value']:.3g}"
        )
        note = "" if pd.isna(row["note"]) else row["note"]
        lines.append(f"| {row['what']} | {value} | {spread} | {note} | {known.index(row['conditions']) + 1} |")
    return [*lines, "", *(f"{number}. {text}" for number, text in enumerate(known, 1))]
