"""One table of the speed goals, from the CSV files of the other benchmarks: goal, limit, peer, ours, met or the reason.

    python benchmarks/bench_table.py              # results/bench/README.md
    python benchmarks/bench_table.py --in DIR     # DIR/README.md

A goal is met if the whole range of its measurements is within the limit; *by the median* if only their median is. What no file holds is not measured.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

STRUCTURES = (
    *("H2O", "NH3", "CH4", "CO2", "H2CO", "CH3OH", "C2H4", "C6H6", "diamond", "graphene"),
    *("al-fcc", "water64"),
)
"""Structures of the goals that ``bench_lambda_auto.py`` measures; the bundled model knows water alone."""
ASE = "the model's own calculator through ASE"


@dataclass(frozen=True)
class Measured:
    """What a file says about a goal."""

    value: float
    low: float
    high: float
    note: str
    conditions: str


@dataclass(frozen=True)
class Goal:
    """A row of the table."""

    what: str
    limit: float
    peer: str
    find: Callable[[Path], Measured | None]
    unit: str = ""
    at_most: bool = False
    reason: str = ""
    """Why it is missed, if it is."""
    profiled: str = ""
    """Text of the row of ``profile.csv`` that shows why."""

    def line(self, folder: Path, conditions: list[str]) -> str:
        """The row in Markdown. ``conditions`` collects the conditions of all rows, which are given by number."""
        limit = f"{'≤' if self.at_most else '≥'} {self.limit:g}{self.unit}"
        found = self.find(folder)
        if found is None:
            return f"| {self.what} | {limit} | {self.peer} | not measured | – | | |"
        met = self._met(found)
        if found.conditions not in conditions:
            conditions.append(found.conditions)
        number = conditions.index(found.conditions) + 1
        why = (self.reason, profile_of(folder, self.profiled)) if met not in ("yes", "where measured") else ()
        note = "; ".join(filter(None, (*why, found.note)))
        ours = f"{found.value:.3g}{self.unit} ({found.low:.3g} to {found.high:.3g})"
        return f"| {self.what} | {limit} | {self.peer} | {ours} | {met} | {note} | {number} |"

    def _met(self, found: Measured) -> str:
        def within(value: float) -> bool:
            return value <= self.limit if self.at_most else value >= self.limit

        if within(found.low) and within(found.high):
            return "where measured" if "not measured" in found.note else "yes"
        return "by the median" if within(found.value) else "no"


def profile_of(folder: Path, text: str) -> str:
    """How far a calculation is from its limit, and its largest shares of time, from ``profile.csv``; empty without ``text`` or its row."""
    path = folder / "profile.csv"
    if not text or not path.is_file():
        return ""
    table = pd.read_csv(path)
    rows = table[table["what"].str.contains(text, regex=False)]
    if rows.empty:
        return f"{text}: not profiled"
    row = rows.iloc[-1]
    shares = {name.removeprefix("share "): row[name] for name in table.columns if name.startswith("share ")}
    largest = sorted(shares, key=lambda name: -shares[name])[:3]
    return (
        f"profile: {row['value']:.0f} ms, {row['value'] / row['limit_ms']:.2g} times what the counted operations take at the speed of a large matrix "
        f"product ({row['limit_ms']:.3g} ms); " + ", ".join(f"{name} {100 * shares[name]:.0f} %" for name in largest)
    )


def row_of(file: str, text: str, *, value: str = "value", note: str = "") -> Callable[[Path], Measured | None]:
    """The row of ``file`` whose first column of text contains ``text``: that on several cores, where it was measured, with that on one in its note."""

    def find(folder: Path) -> Measured | None:
        path = folder / file
        if not path.is_file():
            return None
        table = pd.read_csv(path)
        rows = table[table["what"].str.contains(text, regex=False)]
        if rows.empty:
            return None
        several = rows["what"].str.contains(r" on \d+ cores$")
        row = (rows[several] if several.any() else rows).iloc[-1]
        low, high = (row[name] if name in row and not pd.isna(row[name]) else row[value] for name in ("low", "high"))
        own = row["note"] if "note" in row and not pd.isna(row["note"]) else ""
        if several.any() and not several.all():
            one = rows[~several].iloc[-1]
            own += f"; on one core {one[value]:.3g}"
        return Measured(row[value], low, high, note or own, row["conditions"])

    return find


def automatic(model: str) -> Callable[[Path], Measured | None]:
    """The slowest structure of ``lambda_auto.csv``."""

    def find(folder: Path) -> Measured | None:
        path = folder / "lambda_auto.csv"
        if not path.is_file():
            return None
        rows = pd.read_csv(path)
        rows = rows[rows["model"] == model]
        if rows.empty:
            return None
        slowest = rows.loc[rows["value"].idxmin()]
        others = ", ".join(f"{row['structure']} {row['value']:.3g}" for _, row in rows.iterrows())
        note = f"the slowest of {others}; its first measurement, with compilation: {slowest['peer_s'] / slowest['first_s']:.2g}"
        if slowest["first_s"] < 1.5 * slowest["ours_s"]:
            note = f"the slowest of {others}"
        missing = [name for name in STRUCTURES if not rows["structure"].str.contains(name, regex=False).any()]
        if missing and not model.startswith("pet-m"):
            note += f"; not measured: {', '.join(missing)}"
        return Measured(slowest["value"], slowest["low"], slowest["high"], note, slowest["conditions"])

    return find


def on_gpu(model: str, replicas: int) -> Callable[[Path], Measured | None]:
    """The row of ``torch-sim.json`` in the folder ``gpu`` beside."""

    def find(folder: Path) -> Measured | None:
        path = folder.parent / "gpu" / "torch-sim.json"
        if not path.is_file():
            return None
        document = json.loads(path.read_text(encoding="utf-8"))
        about = document["conditions"]
        for row in document["rows"]:
            if (row["model"], row["replicas"]) == (model, replicas) and "ratio" in row:
                note = f"{row['ours']:.4g} and {row['theirs']:.4g} replica-steps a second, medians of {row['rounds']} rounds"
                conditions = f"{about['name']}, torch {about['packages']['torch']}, Python {about['python']}, wall time, {about['day']}"
                return Measured(row["ratio"], row["ratio_low"], row["ratio_high"], note, conditions)
        return None

    return find


GOALS = (
    *(
        Goal(
            f"λ by `auto`, {model}: speed on each structure",
            1.0,
            f"central differences, 6N calls, {ASE}",
            automatic(model),
            reason="molecules: 6N calls as the peer, and 22 more (14 choose the step of float32 forces that jump, 8 repeat four columns), without which λ has no error; the ratio is above one from twelve atoms on. The "
            "package's calculator also computes a stress in each call (results/bench/lambda_auto.md)"
            if model == "chgnet"
            else "three atoms: a job of 0.2 s, of which error bars, the check of autograd and the compilation of second derivatives are most",
        )
        for model in ("sevennet-0", "chgnet", "pet-m:direct", "pet-m:conservative")
    ),
    Goal(
        "exact λ of 192 atoms, pet-m:direct",
        6.0,
        f"central differences, 6N calls, {ASE}",
        row_of("lambda.csv", "central-difference calls over exact products"),
        reason="the Jacobians of two layers take as long as some 60 products",
        profiled="exact λ",
    ),
    Goal(
        "random λ to 3 % of 192 atoms, pet-m:direct",
        100.0,
        f"central differences, 6N calls, {ASE}",
        row_of("lambda.csv", "central-difference calls over random products to 3 %"),
        reason="8 to 12 probes, as the first happen to scatter, each of two products: fewer than 8 give no interval that covers",
        profiled="random λ",
    ),
    *(
        Goal(
            f"throughput of {replicas} replicas of water64 over one, pet-m:direct",
            1.1,
            "the same with one replica",
            row_of("md.csv", f"R = {replicas} over R = 1"),
            reason="one replica is arithmetic already",
            profiled="pet-m:direct: a step",
        )
        for replicas in (8, 32)
    ),
    Goal(
        "steps of velocity Verlet, pet-m:direct",
        3.0,
        f"VelocityVerlet, {ASE}",
        row_of("md.csv", "ASE's VelocityVerlet"),
        profiled="pet-m:direct: a step",
    ),
    Goal(
        "steps of velocity Verlet, pet-m:direct",
        1.3,
        "i-PI with the same field",
        row_of("md.csv", "i-PI's"),
        reason="i-PI spends 4 % of a step outside the force call. An earlier 1.35 was of a liquid that i-PI had been given at half its lengths, and that exploded",
    ),
    *(
        Goal(
            f"steps of {replicas} replica{'s' * (replicas > 1)} on a GPU, {model}",
            1.0,
            "torch-sim with metatomic's own interface",
            on_gpu(model, replicas),
            reason="launches of kernels: one replica keeps the GPU busy for a sixth (direct) or a ninth of a step (conservative)",
        )
        for model in ("pet-m:direct", "pet-m:conservative")
        for replicas in (1, 8, 32, 128)
    ),
    Goal(
        "relaxations of molecules of QM9, SevenNet-0",
        2.0,
        f"L-BFGS one by one, {ASE}",
        row_of("relax.csv", "QM9: side by side over ASE"),
        reason="20 molecules and 10 steps each, not 100 to the end; a call of SevenNet-0 takes about as long an atom at every batch, so that there is little to save",
        profiled="sevennet-0: 20 molecules",
    ),
    *(
        Goal(
            f"relaxations of clusters of {size}, {model}",
            6.0,
            f"L-BFGS one by one, {ASE}",
            row_of("relax.csv", f"{model}, {size} water molecule{'' if size == 'one' else 's'}: side by side over ASE"),
            reason="not molecules of QM9, which the model does not know; a larger structure leaves less fixed cost to save",
        )
        for model in ("pet-m:direct", "pet-m:conservative")
        for size in ("one", "four")
    ),
    Goal(
        "`make demo` with installation",
        6.0,
        "",
        row_of("demo.csv", "make demo"),
        unit=" min",
        at_most=True,
        reason="its assessment of three models may take 275 s by itself",
    ),
    Goal(
        "fixed cost of a job",
        15.0,
        "",
        row_of("scaling.csv", "one process", value="overhead_ms_per_job", note="1000 jobs"),
        unit=" ms",
        at_most=True,
        reason="key, lock, three files (row, tables, provenance), each written beside and renamed, so that a killed process leaves no half of one",
    ),
    Goal(
        "`ncbench --help`, CPU time",
        0.2,
        "",
        row_of("start.csv", "ncbench --help"),
        unit=" s",
        at_most=True,
        reason="typer and rich alone take 0.15 s, ncbench's commands 0.07 s, building and printing them the rest",
    ),
    *(
        Goal(
            f"{task}: two processes instead of two threads",
            1.15,
            "one process with two threads",
            row_of("processes.csv", text),
            reason="inconclusive where other programs took both cores (see the load); a job measures by itself, and keeps its threads where they are as fast",
        )
        for task, text in (
            ("two replicas, pet-m:direct", "pet-m:direct, water64, R = 2"),
            ("8 replicas, pet-m:direct", "pet-m:direct, water64, R = 8"),
            ("32 replicas, pet-m:direct", "pet-m:direct, water64, R = 32"),
            ("two replicas, pet-m:conservative", "pet-m:conservative, water64, R = 2"),
            ("relaxations, SevenNet-0", "molecules of small-ten"),
            ("exact λ of 192 atoms, pet-m:direct", "rows of J"),
            ("random λ of 192 atoms, pet-m:direct", "random probes"),
        )
    ),
)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[1] / "results" / "bench"
    parser.add_argument("--in", dest="folder", type=Path, default=default, help="folder of the CSV files")
    folder = parser.parse_args().folder
    conditions: list[str] = []
    lines = [goal.line(folder, conditions) for goal in GOALS]
    text = [
        "# Speed: goals and measurements",
        "",
        "Made by `benchmarks/bench_table.py` from the CSV files here; `make bench` measures. Ratios are ours over the peer's in one run, measured in turn: the",
        "median and the range of rounds. *Met*: the whole range, or only the median, is within the limit.",
        "",
        "| goal | limit | peer | ours | met | note, or reason | conditions |",
        "|---|---|---|---|---|---|---|",
        *lines,
        "",
        *(f"{number}. {dated(text)}" for number, text in enumerate(conditions, 1)),
        "",
        "On a GPU: [gpu](../gpu/README.md). Details: "
        + ", ".join(f"[{path.stem}]({path.name})" for path in sorted(folder.glob("*.md")) if path.name != "README.md")
        + ".",
        "",
    ]
    (folder / "README.md").write_text("\n".join(text), encoding="utf-8")
    print("\n".join(text))


def dated(conditions: str) -> str:
    """The conditions, with a remark where they do not name the day."""
    return (
        conditions
        if re.search(r"\d{4}-\d\d-\d\d", conditions)
        else f"{conditions}; before 2026-11-26, wall time, allocator of the system"
    )


if __name__ == "__main__":
    main()
