"""Time and memory against the number of atoms, up to 10⁵: dynamics at constant energy, random λ, and prediction, each a command in a process of its own.

    python benchmarks/bench_size.py                       # an hour and a half of one core, 20 GiB
    python benchmarks/bench_size.py --only prediction     # the rows of one operation; those of others are kept
    python benchmarks/bench_size.py --most 2000           # test of the script

CPU time and largest resident memory of the whole command, from the operating system; with one thread. The exponent is that between a size and the
one before, of the CPU time without that of the smallest size's command, which is mostly start-up. Writes ``results/bench/size.csv`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from bench_files import conditions, merged

RESULTS = Path(__file__).resolve().parents[1] / "results" / "bench"
LIMIT_GIB = 20.0
GIB = 2**30


@dataclass(frozen=True)
class Operation:
    """A command whose structure grows."""

    name: str
    command: tuple[str, ...]
    models: tuple[str, ...]
    repeats: tuple[int, ...]
    """Copies of the cell along each direction, one size each; the first stands for start-up."""


SYSTEMS = {
    "analytic-lj": ("argon", 108),
    "analytic-solenoidal": ("harmonic-crystal", 32),
    "pet-m:direct": ("water64", 192),
    "pet-m:conservative": ("water64", 192),
}
"""Model → system, and atoms of its cell."""
STEPS = ("--timestep", "0.5", "--duration", "1", "--sample-every", "1")
PROBES = ("--method", "stochastic", "--probes", "8", "--budget", "smoke")
OPERATIONS = (
    Operation("two steps", ("nve-drift", *STEPS), ("analytic-lj", "pet-m:direct", "pet-m:conservative"), (1, 2, 4, 8)),
    Operation("λ, 8 probes", ("lambda", *PROBES), ("analytic-lj", "pet-m:direct"), (1, 2, 4)),
    Operation("prediction", ("predict", "--budget", "smoke", "--modes", "moments"), ("analytic-lj",), (1, 2, 4, 8)),
    Operation(
        "prediction", ("predict", "--budget", "smoke", "--modes", "moments"), ("analytic-solenoidal",), (1, 3, 9, 15)
    ),
    # The whole Jacobian of 192 atoms, and moments of that within 6 Å: 12 288 atoms take hours, of which nearly all are products.
    Operation("prediction, all modes", ("predict", "--budget", "smoke"), ("pet-m:direct",), (1,)),
    Operation(
        "prediction, reach 6 Å",
        ("predict", "--budget", "smoke", "--modes", "moments", "--reach", "6"),
        ("pet-m:direct",),
        (1, 2),
    ),
)


def measured(operation: Operation, model: str, repeat: int) -> dict[str, Any]:
    """CPU time (s) and largest resident memory (GiB) of one command, and what became of its row."""
    system, cell = SYSTEMS[model]
    copies = ",".join([str(repeat)] * 3)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ncbench", *operation.command, "--model", model, "--system", system]
        command += [
            "--structures",
            "1",
            "--repeat",
            copies,
            "--threads",
            "1",
            "--json",
            "--quiet",
            "--yes",
            "--out",
            folder,
        ]
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
            _, code, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(code)
            output.seek(0)
            text = output.read().decode()
    rows = json.loads(text) if text.strip() else []
    return {
        "row": f"{operation.name}, {model}, {cell * repeat**3}",
        "operation": operation.name,
        "model": model,
        "n_atoms": cell * repeat**3,
        "status": rows[0]["status"] if rows else "failed",
        "cpu_s": used.ru_utime + used.ru_stime,
        "memory_GiB": used.ru_maxrss * 1024 / GIB,
        "exponent": math.nan,
        "reason": (rows[0]["reason"] or "") if rows else f"exit code {process.returncode}",
        "result": power_of(rows),
        "conditions": conditions(),
    }


def power_of(rows: list[dict[str, Any]]) -> str:
    """Of a prediction, the power at constant energy to second order over 160 fs, meV/atom/ps; empty for other operations."""
    for row in rows:
        if row.get("thermostat") == "none" and row["duration_fs"] == 160.0 and row["status"] == "ok":
            error = row["golden_rule_meV_per_atom_per_ps_se"]
            spread = "" if error is None else f" ± {error:.2g}"
            floor = "" if row["above_floor"] else f", floor {row['power_floor_meV_per_atom_per_ps']:.2g}"
            return f"P = {row['golden_rule_meV_per_atom_per_ps']:.3g}{spread} meV/atom/ps{floor}"
    return ""


def page(table: pd.DataFrame) -> str:
    """The table in Markdown."""
    known = list(dict.fromkeys(table["conditions"]))
    lines = [
        "# Time and memory against the number of atoms",
        "",
        "Made by `benchmarks/bench_size.py`. One thread; CPU time and largest resident memory of the whole command, start-up and the check of results included.",
        f"Exponent: d log(CPU time) / d log(atoms) from the size before, without the time of the smallest. Limit of memory: {LIMIT_GIB:g} GiB. P: heating power to second order.",
        "",
        "| operation | model | atoms | CPU s | GiB | exponent | | conditions |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        exponent = "" if math.isnan(row["exponent"]) else f"{row['exponent']:.2f}"
        result = row["result"] if isinstance(row["result"], str) else ""
        remark = result if row["status"] == "ok" else f"{row['status']}: {row['reason']}"
        memory = "" if math.isnan(row["memory_GiB"]) else f"{row['memory_GiB']:.2f}"
        cells = [row["operation"], row["model"], row["n_atoms"], f"{row['cpu_s']:.1f}", memory]
        cells += [exponent, remark, known.index(row["conditions"]) + 1]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join([*lines, "", *(f"{number}. {text}" for number, text in enumerate(known, 1))]) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Measure and write the table; exit code 1 if a command failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=10**6, help="largest number of atoms")
    parser.add_argument("--only", help="operations whose name begins so")
    parser.add_argument("--model", help="this model alone")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    for operation in OPERATIONS:
        if options.only and not operation.name.startswith(options.only):
            continue
        for model in operation.models:
            if options.model not in (None, model):
                continue
            first: float | None = None
            before: dict[str, Any] | None = None
            for repeat in operation.repeats:
                if SYSTEMS[model][1] * repeat**3 > options.most:
                    break
                row = measured(operation, model, repeat)
                if first is None:
                    first = row["cpu_s"]
                elif before is not None and before["cpu_s"] > 2 * first and row["status"] == "ok":
                    grown = (row["cpu_s"] - first) / (before["cpu_s"] - first)
                    row["exponent"] = math.log(grown) / math.log(row["n_atoms"] / before["n_atoms"])
                before = row
                rows.append(row)
                print(json.dumps(row), flush=True)
                # After each command: an interruption loses one.
                write(rows, options.out)
    return int(any(row["status"] == "failed" for row in rows))


def write(rows: list[dict[str, Any]], folder: Path) -> None:
    """The table so far, as CSV and Markdown."""
    table = merged(folder / "size.csv", rows, "row")
    (folder / "size.md").write_text(page(table), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
