"""Another package adds a diagnostic as one file: it is in the help, runs, has tables, and is in the report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

TOY = '''
"""Norm of the net force: a diagnostic in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from ncbench.diagnostics.base import Context, Diagnostic, Quantity, Shown
from ncbench.options import Option
from ncbench.schema import Column, TableSchema
from ncbench.statistics.cells import mean_cell
from ncbench.types import Budget, Case, Outcome, Status


@dataclass(frozen=True)
class ToySettings:
    """What is measured."""

    scale: Annotated[float, Option("Factor of the answer.", metavar="X")] = 1.0


SCHEMA = TableSchema("toy", 1, (Column("toy_meV_per_A", "float", "meV/Å", "norm of the net force times the factor"),))


def run(forcefield: Any, cases: Sequence[Case], settings: ToySettings, *, seed: int, context: Context) -> Outcome:
    """One row a structure."""
    rows = []
    for case in cases:
        (result,) = forcefield.evaluate([case.atoms])
        norm = float((result.forces.sum(axis=0) ** 2).sum() ** 0.5)
        where = {"structure": case.name, "n_atoms": len(case.atoms), "status": Status.OK, "reason": ""}
        rows.append(SCHEMA.row(**where, toy_meV_per_A=1000.0 * settings.scale * (1.0 + norm)))
    return Outcome(rows)


DIAGNOSTIC = Diagnostic(
    name="toy",
    version=1,
    summary="Norm of the net force, shifted: an example of a diagnostic in one file.",
    examples=("--model analytic-lj",),
    settings=ToySettings,
    presets=dict.fromkeys(Budget, ToySettings()),
    run=run,
    schema=SCHEMA,
    cost=lambda settings, n_atoms: 1.0,
    show=(Shown("toy meV/Å", "toy_meV_per_A"),),
    quantities=lambda rows: (Quantity("toy", "toy force", "meV/Å", lambda good: mean_cell(good, "toy_meV_per_A")),),
    default_system="argon",
)
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder for the import path with the one file and the metadata of an installed wheel."""
    folder = tmp_path / "site"
    (folder / "toy-1.0.dist-info").mkdir(parents=True)
    (folder / "toy_diagnostic.py").write_text(TOY, encoding="utf-8")
    (folder / "toy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (folder / "toy-1.0.dist-info" / "entry_points.txt").write_text(
        "[ncbench.diagnostics]\ntoy = toy_diagnostic:DIAGNOSTIC\n"
    )
    return folder


def test_a_diagnostic_is_added_by_one_file(package: Path, tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))

    def ncbench(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ncbench", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "120"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "Norm of the net force, shifted" in ncbench("--help")
    assert "--scale" in ncbench("toy", "--help")
    printed = ncbench("toy", "--model", "analytic-lj", "--scale", "2", "--out", "out")
    # Lennard-Jones forces sum to zero to rounding: 2 × 1000 × (1 + 0).
    assert "2000" in printed
    assert float(pd.read_csv(tmp_path / "out" / "toy.csv")["toy_meV_per_A"].iloc[0]) == pytest.approx(2000.0, abs=1e-3)
    assert "toy force" in ncbench("summary", "out")
    ncbench("report", "out", "--out", "page.html")
    assert "toy force" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Norm" in ncbench("--help")
