"""A comparison as text and files: terminal, CSV, Parquet, Markdown, LaTeX; and the missing runs."""

from __future__ import annotations

import csv
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from result_rows import nvt
from rich.console import Console
from typer.testing import CliRunner
from wanted import MADE_ELSEWHERE, wanted

from ncbench.cli.main import app
from ncbench.errors import UsageError
from ncbench.paper import numbers
from ncbench.paper.compare import MEASURED, Comparison, State, compare, counterparts, result_tables, write
from ncbench.paper.grid import grid
from ncbench.paper.latex import escaped, latex
from ncbench.paper.markdown import markdown
from ncbench.paper.terminal import show

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "results" / "demo"


@cache
def everything() -> list[Comparison]:
    tables = [numbers.table(name) for name in numbers.names()]
    result = result_tables(DEMO, tables)
    return [compare(table, store, counterparts()) for table in tables for store in ({}, result)]


def test_no_cell_is_left_out_silently() -> None:
    for comparison in everything():
        assert [cell.paper for cell in comparison.cells] == list(comparison.table.cells)
        for cell in comparison.cells:
            assert cell.remark, cell.paper.name
            assert (cell.ours.value is not None) == (cell.state in MEASURED), cell.paper.name
            assert (cell.state is State.NOT_PRINTED) == (cell.paper.printed.value is None), cell.paper.name
        shown = grid(comparison)
        letters = [letter for letter, _ in shown.remarks]
        assert len(set(letters)) == len(letters)
        for line in shown.lines[1::2]:
            for entry in line[shown.numeric_from :]:
                # Every cell is a number or a dash with the letter of a remark, except cells without a number in the paper.
                assert not entry.text or entry.marks in letters


def test_demo_results_are_found() -> None:
    comparison = compare(numbers.table("table2"), result_tables(DEMO, [numbers.table("table2")]), counterparts())
    assert comparison.count(State.DIFFERENT) >= 9
    assert "different model" in comparison.sentence()


def test_files_have_the_same_content(tmp_path: Path) -> None:
    comparison = compare(numbers.table("table8"), {"nvt": nvt()}, counterparts())
    files = write(comparison, tmp_path / "new")
    assert set(files) == {"csv", "parquet", "md", "tex"}
    table = pq.read_table(files["parquet"])
    assert table.num_rows == len(comparison.cells) == 42
    assert all(field.metadata[b"meaning"] for field in table.schema)
    by_name = {row["cell"]: row for row in table.to_pylist()}
    cell = next(cell for cell in comparison.cells if cell.paper.name == "table8/3/svr")
    assert by_name["table8/3/svr"]["deviation_sigma"] == cell.deviation
    assert by_name["table8/3/svr"]["ours_value"] == 300.6
    with files["csv"].open(encoding="utf-8", newline="") as stream:
        read = {row["cell"]: row for row in csv.DictReader(stream)}
    assert {name: row["state"] for name, row in read.items()} == {name: row["state"] for name, row in by_name.items()}
    assert float(read["table8/3/svr"]["deviation_sigma"]) == cell.deviation
    assert read["table8/1/svr"]["ours_value"] == ""


def test_markdown_tables_are_complete() -> None:
    for comparison in everything():
        lines = markdown(comparison).splitlines()
        body = [line for line in lines if line.startswith("|")]
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in body}
        assert bars == {len(comparison.table.columns) + len(comparison.table.stub) + 3}
        assert len(body) == 2 + 2 * len(comparison.table.rows())


@pytest.mark.parametrize("index", range(2 * len(numbers.names())))
def test_latex_is_well_formed(index: int) -> None:
    text = latex(everything()[index])
    # pdfLaTeX can compile it: model names of ncbench are ASCII.
    assert text.isascii()
    code = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert re.findall(r"\\begin\{(\w+)\}", code) == ["table", "tabular", "minipage"]
    assert re.findall(r"\\end\{(\w+)\}", code) == ["tabular", "minipage", "table"]
    bare = re.sub(r"\\[\\{}$&%#_]", "", code)
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert all(line.count("$") % 2 == 0 for line in bare.splitlines())
    assert not re.search(r"[#%~]", bare)
    outside_maths = re.sub(r"\$[^$]*\$", "", bare)
    assert not re.search(r"[_^]", re.sub(r"\\label\{[^}]*\}", "", outside_maths))
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", code)
    assert columns
    body = code[code.index(r"\toprule") : code.index(r"\bottomrule")]
    counts = [len(re.findall(r"(?<!\\)&", line)) for line in body.splitlines() if line.endswith(r"\\")]
    assert set(counts) == {len(columns[1]) - 1}
    commands = set(re.findall(r"\\([A-Za-z]+)", code))
    assert commands <= {
        "begin", "end", "centering", "caption", "label", "toprule", "midrule", "bottomrule", "addlinespace", "par", "medskip",
        "linewidth", "footnotesize", "mathrm", "times", "lambda", "tau", "Delta", "sigma", "gamma", "omega", "langle", "rangle",
        "leq", "surd", "AA", "infty", "textless", "textgreater", "textbackslash",
    }  # fmt: skip


def test_latex_escapes() -> None:
    assert escaped("50 % of a_b & {c}") == r"50 \% of a\_b \& \{c\}"
    assert escaped("0.8(1.3)e14") == r"$0.8(1.3)\times10^{14}$"
    assert escaped("-2(3)e-8") == r"$-2(3)\times10^{-8}$"
    assert escaped("esen-30m at 1e4x") == "esen-30m at 1e4x"
    assert escaped("Δ Å") == r"$\Delta$ \AA{}"


def test_terminal_shows_values_of_paper_and_ncbench() -> None:
    console = Console(width=200, record=True, force_terminal=False)
    show(compare(numbers.table("table8"), {"nvt": nvt()}, counterparts()), console)
    message = console.export_text()
    assert "336.2(0.8)" in message
    assert "300.6(3) [+1.6 σ]" in message


def test_missing_cells_can_be_planned() -> None:
    """The planner accepts each requested run, and together they cover every cell that can be filled."""
    from ncbench.diagnostics import registry
    from ncbench.run.plan import plan_jobs
    from ncbench.types import Budget, ModelRequest, SystemRequest

    for name in numbers.names():
        comparison = compare(numbers.table(name), {}, counterparts())
        asked = wanted(comparison.cells)
        open_cells = [
            c.paper.name
            for c in comparison.cells
            if c.state is State.NOT_RUN
            and c.ours.model
            and not c.paper.selection.none
            and c.paper.selection.table not in MADE_ELSEWHERE
        ]
        assert sorted(cell for one in asked for cell in one.cells) == sorted(open_cells)
        for one in asked:
            if one.diagnostic not in registry.diagnostics() or "gle" in one.settings.get("thermostats", ()):
                continue
            (job,) = plan_jobs(
                [one.diagnostic],
                [ModelRequest(spec=one.model)],
                SystemRequest(name=one.system),
                budget=Budget.PAPER,
                overrides={one.diagnostic: one.settings},
            )
            assert job.diagnostic == one.diagnostic
    (sevennet,) = [
        one for one in wanted(compare(numbers.table("table8"), {}, counterparts()).cells) if "sevennet" in one.model
    ]
    assert sevennet.settings["thermostats"] == ("langevin:10", "langevin:100", "langevin:1000", "svr:10")
    assert wanted(compare(numbers.table("table8"), {"nvt": nvt()}, counterparts()).cells)[2].settings["thermostats"] == (
        "langevin:10", "langevin:100", "langevin:1000",
    )  # fmt: skip


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["paper", *arguments], prog_name="ncbench")


def test_paper_commands(tmp_path: Path) -> None:
    listed = invoke("list")
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in numbers.names())
    shown = invoke("show", "table9")
    assert shown.exit_code == 0
    assert "1181.5(5.2)" in shown.stdout
    compared = invoke("compare", "all", str(DEMO), "--out", str(tmp_path))
    assert compared.exit_code == 0
    assert len(list(tmp_path.glob("paper-*"))) == 4 * len(numbers.names()) + 2
    assert "| all | 218 |" in (tmp_path / "paper-counts.md").read_text(encoding="utf-8")
    claimed = invoke("claims", str(DEMO), str(DEMO.parent / "laptop"), "--out", str(tmp_path))
    assert claimed.exit_code == 0
    assert "15 claims; " in claimed.stdout
    assert "λ of direct forces is not zero" in (tmp_path / "paper-claims.md").read_text(encoding="utf-8")
    assert len(json.loads(invoke("claims", str(DEMO), "--json").stdout)) > 15
    assert isinstance(invoke("claims", str(tmp_path / "none")).exception, UsageError)
    assert isinstance(invoke("compare", "table8", str(tmp_path / "none")).exception, UsageError)
    assert isinstance(invoke("compare", "table4", str(DEMO)).exception, UsageError)
    assert isinstance(invoke("compare", "table8", str(DEMO), "--as", "pet-c").exception, UsageError)
    for command in (("compare", "table8"), ("claims",)):
        refused = invoke(*command, str(DEMO), "--as", "pet-c=mine:direct").exception
        assert "No result is of 'mine:direct', which was to stand for pet-c. " in str(refused)
        assert "pet-m:conservative" in str(refused)
    assert invoke("compare", "table8", str(DEMO), "--as", "pet-c=pet-m:conservative").exit_code == 0
