"""Every diagnostic has a cost, a terminal table, valid rows, a section in reports and a documentation page."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from ncbench.cli.main import main
from ncbench.cli.measure import help_text, options
from ncbench.diagnostics import registry
from ncbench.types import Budget

ROOT = Path(__file__).resolve().parents[2]
DIAGNOSTICS = registry.diagnostics()

SMOKE: dict[str, tuple[str, ...]] = {
    "accuracy": ("--structure", "labelled.xyz"),
    # LAMMPS and i-PI may not be installed.
    "compare-engines": ("--engine", "ase"),
    "mts": ("--reference", "analytic-harmonic", "--duration", "20", "--strides", "2", "--rounds", "1"),
    "mts-design": ("--reference", "analytic-harmonic", "--duration", "120", "--strides", "1,4", "--scan", "40"),
    "npt": ("--model", "analytic-lj", "--system", "argon", "--duration", "20", "--equilibration", "0"),
    "nve-drift": (
        "--duration",
        "40",
    ),
    "nvt": ("--duration", "40", "--equilibration", "10"),
    "relax": ("--model", "analytic-lj", "--structure", "cluster.xyz", "--n", "1", "--displacement", "0.05"),
    "timing": ("--repeats", "2", "--steps", "1"),
}
"""Options of a run of a second or two; every diagnostic that is not listed runs with none."""


def _files(folder: Path) -> None:
    (folder / "labelled.xyz").write_text(
        '2\nLattice="9 0 0 0 9 0 0 0 9" pbc="T T T" Properties=species:S:1:pos:R:3:forces_dft:R:3 energy_dft=-0.1\n'
        "Ar 0 0 0 0.1 0 0\nAr 0 0 3.9 -0.1 0 0\n"
    )
    (folder / "cluster.xyz").write_text("3\n\nAr 0 0 0\nAr 0 0 3.8\nAr 0 3.3 1.9\n")


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_costs_are_positive_and_grow_with_the_budget(name: str) -> None:
    diagnostic = DIAGNOSTICS[name]
    for n_atoms in (3, 192):
        costs = [float(diagnostic.cost(diagnostic.presets[budget], n_atoms)) for budget in Budget]
        assert min(costs) > 0
        assert costs == sorted(costs)


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_printed_columns_are_columns_of_its_table(name: str) -> None:
    diagnostic = DIAGNOSTICS[name]
    known = {column.name for column in diagnostic.schema.all_columns}
    assert diagnostic.show
    for shown in diagnostic.show:
        used = (shown.column, shown.error, shown.at_most, shown.above, shown.instead, shown.known)
        assert {column for column in used if column} <= known
    assert set(diagnostic.conditions) <= known
    assert set(diagnostic.ranks) <= known


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_help_explains_the_diagnostic(name: str) -> None:
    diagnostic = DIAGNOSTICS[name]
    assert "Examples:" in help_text(diagnostic)
    own = {field.name for field in fields(diagnostic.settings)} | {extra.name for extra in diagnostic.extra_options}
    declared = options(diagnostic)
    assert set(declared) <= own
    for kind, option in declared.values():
        assert option.help.endswith((".", "?")), (kind, option)


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_a_smoke_run_prints_a_number_and_appears_in_the_report(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _files(tmp_path)
    given = SMOKE.get(name, ())
    model = () if "--model" in given else ("--model", "analytic-solenoidal")
    where = () if {"--system", "--structure"} & set(given) else ("--system", "harmonic-crystal")
    command = [name, *model, *where, *given, "--budget", "smoke", "--out", "out", "--quiet"]
    with pytest.raises(SystemExit) as end:
        main([*command, "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert end.value.code == 0, rows
    assert rows
    assert {row["status"] for row in rows} == {"ok"}
    shown = [row[column.column] for row in rows for column in DIAGNOSTICS[name].show]
    numbers = [value for value in shown if isinstance(value, int | float) and not isinstance(value, bool)]
    assert numbers, rows
    with pytest.raises(SystemExit) as end:
        main(command)
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert any(character.isdigit() for character in printed.split("\n", 2)[2])
    with pytest.raises(SystemExit) as end:
        main(["report", "out", "--out", "page.html"])
    assert end.value.code == 0
    assert name in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_listing_diagnostics_imports_no_heavy_package() -> None:
    code = (
        "import sys; from ncbench.diagnostics import registry; registry.diagnostics();"
        "print(sorted({'torch', 'ase', 'numpy', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _documented() -> Any:
    return (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_every_diagnostic_has_a_documentation_page(name: str) -> None:
    diagnostic = DIAGNOSTICS[name]
    page = _documented()
    assert f"## {name}\n" in page
    for column in diagnostic.schema.columns:
        assert f"`{column.name}`" in page


def test_an_error_that_is_a_lower_bound_is_marked_in_printed_tables() -> None:
    drift = next(one for one in registry.get("nve-drift").show if one.column == "energy_drift_meV_per_atom_per_ps")
    row = {"energy_drift_meV_per_atom_per_ps": 97.2, "energy_drift_meV_per_atom_per_ps_se": 16.1}
    assert drift.text(row | {"plateau": False}) == "97(16)?"
    assert drift.text(row | {"plateau": True}) == "97(16)"
