"""The paper's numbers: typed twice, and compared with the paper's text where it is available."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from ncbench.errors import UsageError
from ncbench.paper import numbers
from ncbench.paper.numbers import Conditions, PaperTable, build, models, parse_printed, table

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "seeds"
TEXTS = [Path(p) for p in [os.environ.get("NCBENCH_PAPER_TEXT")] if p] or sorted(FOLDER.glob("003_*.txt"))
needs_text = pytest.mark.skipif(
    not TEXTS, reason="needs the paper's text: set NCBENCH_PAPER_TEXT to a Markdown text of it"
)

# Typed a second time from the paper, column by column where the files go row by row.
AGAIN: dict[str, dict[str, str]] = {
    "table1": {
        "energy": "4.7 – 0.55 – 1.42 0.59 –",
        "forces": "– 18.6 19.4 24.3 24.8 20.2 26.7",
    },
    "table2": {
        "all": "51.0(6) 4.2(2) 0.4(1) 1.0(1) 0.1(2) 12.8(5) 1.4(2) 0.1(1) 0.1(1) 0.3(1) 0.0(1)",
        "H": "60.4(5) 5.9(3) 0.6(1) 36.2(8) 0.0(2) 11.2(7) 1.3(2) 0.0(1) -0.4(3) -4.4(3) -0.1(4)",
        "O": "33(1) 0.9(3) 0.1(1) -70(2) 0.3(3) 16.2(5) 1.6(3) 0.2(1) 1.0(7) 9.9(6) 0.1(9)",
    },
    "table3": {"forces": "20.8 18.6 32.8 24.3"},
    "table5": {
        "step": "26.9 52.8 11.9 1580 19.4 8.58",
        "atom": "0.140 0.275 0.062 8.230 0.101 0.047",
    },
    "table6": {
        "energy": "4.7 1.26** 0.55 – 1.42 0.59 _ 0.50 2.16 1.89** 1.38 – 3.20",
        "forces": "1025.6* 18.6 19.4 24.3 24.8 20.2 26.7 20.0 177.0* 40.6 41.4 112.2 111.9",
        "training": "5.48 15.30 15.31 5.55 5.63 15.43 _ 56.42*** 3.57 36.10 36.20 5.81 6.34",
        "evaluation": "0.0264 0.0713 0.0716 0.0224 0.0269 0.0715 0.0265 0.0714 0.1065 0.6394 0.6367 0.1515 0.1674",
    },
    "table7": {
        "water-molecule": "3 69 81 94 75 83 79 91",
        "water": "0 9 88 83 52 58 0 59",
        "qm9": "0 1 92 94 – – – –",
        "mptrj": "10 76 97 99 – – – –",
    },
    "table8": {
        "wn10": "300.4(0.1) 300.1(0.1) 300.0(0.1) 300.1(0.1) 300.1(0.1) 301.9(0.1) 299.9(0.1)",
        "wn100": "304.2(0.2) 300.4(0.2) 300.1(0.2) 301.4(0.2) 300.1(0.2) 340.7(0.2) 299.8(0.4)",
        "wn1000": "351.0(0.6) 300.1(0.4) 299.9(0.5) 312.8(0.5) 300.3(0.7) 1.2e6 300.5(0.5)",
        "svr": "301.0(0.1) 300.1(0.1) 300.1(0.1) 300.3(0.1) 300.1(0.1) 309.7(0.1) 300.1(0.2)",
        "svrH": "336.2(0.8) 299.0(0.6) 299.9(0.4) 295.6(0.3) 299.6(0.3) 265.5(0.2) 298.9(0.7)",
        "svrO": "229.5(1.6) 302.3(1.1) 300.5(1.1) 309.9(0.6) 301.0(0.7) 399.5(0.4) 302.4(1.5)",
    },
    "table9": {
        "all": "1181.5(5.2) 303.1(1.2) 304.1(0.8) 524.1(4.6) 301.8(1.2) 1.6e8 301.3(1.6)",
        "H": "1099.2(4.6) 301.7(1.1) 302.6(1.3) 495.5(4.0) 301.6(1.2) 2.1e8 301.0(1.4)",
        "O": "1362.5(7.7) 306.0(1.6) 307.3(2.4) 585.5(5.9) 302.2(1.6) 5.9e7 301.9(1.8)",
    },
    "table10": {
        "alloy": "1.0 1.93 1.50 1.19 1.05",
        "water": "1.0 1.92 1.45 1.18 1.04",
        "theory": "– 1.925 1.48 1.24 1.12",
    },
    "lambda": {"lambda": "0.015 0.017 0.032 0.004"},
    "figure2": {"heating": "7e12 7e13"},
    "figure6": {"work": "15 -241 132 -410"},
}

DIGEST = "c0ffc2d1e6080712"


def printed(result: PaperTable) -> list[list[str]]:
    return [[cell.printed.text for cell in row] for row in result.rows()]


@pytest.mark.parametrize("name", numbers.names())
def test_numbers_equal_a_second_transcription(name: str) -> None:
    columns = {key: [text.replace("_", "") for text in line.split()] for key, line in AGAIN[name].items()}
    result = table(name)
    assert [key for key, _, _ in result.columns] == list(columns)
    assert printed(result) == [list(row) for row in zip(*columns.values(), strict=True)]


def test_digest_of_all_numbers_is_unchanged() -> None:
    """A change of a number or of its assignment must change this digest too."""
    lines = [
        f"{cell.name} {cell.model.key} {cell.unit} {cell.printed.text} {sorted(cell.conditions.known().items())}"
        for name in numbers.names()
        for cell in table(name).cells
    ]
    assert len(lines) == 14 + 33 + 4 + 12 + 52 + 32 + 42 + 21 + 15 + 4 + 2 + 4
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == DIGEST


@pytest.mark.parametrize(
    ("text", "value", "error", "last_digit"),
    [
        ("51.0(6)", 51.0, 0.6, 0.1),
        ("-70(2)", -70.0, 2.0, 1.0),
        ("229.5(1.6)", 229.5, 1.6, 0.1),
        ("300.4(0.1)", 300.4, 0.1, 0.1),
        ("1.2e6", 1.2e6, None, 1e5),
        ("1.26**", 1.26, None, 0.01),
        ("-241", -241.0, None, 1.0),
    ],
)
def test_printed_texts_are_parsed(text: str, value: float, error: float | None, last_digit: float) -> None:
    result = parse_printed(text)
    assert result.value == value
    assert result.error == (None if error is None else pytest.approx(error, rel=1e-12))
    # A rounding is uniform over a unit of the last digit: variance 1/12.
    assert result.rounding == pytest.approx(last_digit / 12**0.5, rel=1e-12)
    assert result.footnote == text.replace(text.rstrip("*"), "")


@pytest.mark.parametrize("text", ["", "–"])
def test_absent_numbers_are_marked(text: str) -> None:
    assert parse_printed(text).value is None


@pytest.mark.parametrize("text", ["x", "1.2.3", "(3)", "3(", "1,5", "-", "1 2", "3(4)(5)"])
def test_texts_that_are_not_numbers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        parse_printed(text)


def test_tables_agree_on_shared_numbers() -> None:
    """What two tables print of one simulation agrees: 300 K + excess is the temperature, to the rounding of both."""
    eight = {(c.model.key, *_run(c.conditions)): c for c in table("table8").cells}
    shared = [c for c in table("table2").cells if (c.model.key, *_run(c.conditions)) in eight]
    assert len(shared) >= 15
    for cell in shared:
        other = eight[cell.model.key, *_run(cell.conditions)].printed
        half = 0.5 if "." not in cell.printed.text else 0.05
        assert abs(300 + cell.printed.value - other.value) <= half + 0.05 + 1e-9, cell.name
    six = {(c.model.key, c.column): c.printed.value for c in table("table6").cells}
    for cell in table("table1").cells:
        if cell.printed.value is not None:
            assert six[cell.model.key, cell.column] == cell.printed.value


def _run(conditions: Conditions) -> tuple[object, ...]:
    return conditions.thermostat, conditions.tau_fs, conditions.species, conditions.stride


def test_inconsistencies_of_the_paper_are_noted() -> None:
    """Times per atom are times over 192 atoms, but for the one that the notes name."""
    odd = []
    for step, atom in table("table5").rows():
        # Half a unit of the last digit of either; rounding is that unit over √12.
        tolerance = 12**0.5 / 2 * (step.printed.rounding / 192 + atom.printed.rounding)
        if abs(step.printed.value / 192 - atom.printed.value) > tolerance:
            odd.append(step.model.key)
    assert odd == ["pet-nc"]
    assert any("0.047" in note for note in table("table5").notes)
    for row in table("table10").rows()[2:]:
        # 1 + F/M, printed to two digits.
        assert row[2].printed.value == pytest.approx(1 + 1.925 / row[2].conditions.stride, abs=0.0051)


def test_every_cell_has_conditions() -> None:
    for name in numbers.names():
        for cell in table(name).cells:
            assert cell.model.functional
            assert cell.selection.none or cell.conditions.known(), cell.name
            assert cell.selection.none or (cell.selection.table and cell.selection.systems), cell.name
    first = table("table8").cells[5]
    assert (first.model.key, first.model.mode, first.unit) == ("orb-v2", "direct", "K")
    assert first.conditions == Conditions(
        system="liquid water",
        temperature_K=300.0,
        length_ps=1000.0,
        engine="i-PI",
        thermostat="svr",
        tau_fs=10.0,
        species="O",
    )


def test_a_different_model_has_a_reason() -> None:
    for model in models().values():
        assert model.same or model.reason, model.key
        assert model.same <= bool(model.ours), model.key


def test_unknown_names_and_layouts_are_refused() -> None:
    with pytest.raises(UsageError, match="table4"):
        table("table4")
    good = {
        "name": "t", "title": "t", "place": "p", "schema": 1,
        "columns": [{"key": "a", "heading": "A", "unit": "K"}],
        "rows": [{"model": "orb-v2", "printed": ["1"]}],
    }  # fmt: skip
    assert build(good, models()).cells[0].printed.value == 1.0
    with pytest.raises(ValueError, match="2 numbers, 1 columns"):
        build(good | {"rows": [{"model": "orb-v2", "printed": ["1", "2"]}]}, models())
    with pytest.raises(TypeError, match="colour"):
        build(good | {"conditions": {"colour": "red"}}, models())
    with pytest.raises(KeyError, match="gpt"):
        build(good | {"rows": [{"model": "gpt", "printed": ["1"]}]}, models())
    with pytest.raises(ValueError, match="unknown keys"):
        build(good | {"row": []}, models())


# From here on the paper's own text is read.


@pytest.fixture(scope="module")
def text() -> str:
    return TEXTS[0].read_text(encoding="utf-8")


def _typed(cell: str) -> str:
    """A cell of the text as the files write it."""
    cell = re.sub(r"\s*_\(([\d.]+)\)", r"(\1)", cell.strip())
    cell = re.sub(r"^\$?([\d.]+) \\cdot 10\^(\d+)\$?$", r"\1e\2", cell)
    return "–" if cell == "-" else re.sub(r"^\$?F = ([\d.]+)\$?$", r"\1", cell)


def _pipe_table(text: str, heading: str) -> list[list[str]]:
    """Rows below the header that contains ``heading``, up to the first line that is no row."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|") and heading in line)
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        rows.append([_typed(cell) for cell in line.strip().strip("|").split("|")])
    return [row for row in rows if not set("".join(row)) <= set("-: –")]


def _mode(cell: numbers.PaperCell) -> str:
    return {"conservative": "C", "direct": "NC", "mts": "M"}[cell.model.mode]


@needs_text
def test_tables_1_and_6_equal_the_text(text: str) -> None:
    for name, heading, offset in (("table1", "| ARCH. | TYPE |", 3), ("table6", "| ARCHITECTURE | TYPE |", 3)):
        rows = _pipe_table(text, heading)
        assert [row[offset:] for row in rows] == printed(table(name))
        for row, cells in zip(rows, table(name).rows(), strict=True):
            architecture, kind, targets = row[:3]
            assert cells[0].model.label == (architecture.strip("*") or "PET-M")
            assert kind in ("–", _mode(cells[0]))
            assert targets.replace(r"\mathbf{f}", "f") in (cells[0].conditions.targets, "")


@needs_text
def test_table_2_equals_the_text(text: str) -> None:
    rows = _pipe_table(text, "| THR. | TYPE |")
    heads = [row[0] for row in rows if not row[1]]
    assert heads == ["ORB", "PET"]
    label, numbered = "", iter(table("table2").rows())
    for row in rows:
        if not row[1]:
            label = row[0]
            continue
        cells = next(numbered)
        assert row[3:] == [cell.printed.text for cell in cells]
        assert {"WN": "langevin", "SVR": "svr"}[row[0]] == cells[0].conditions.thermostat
        assert float(row[2]) == cells[0].conditions.tau_fs
        assert cells[0].model.label.startswith(label)
        stride = cells[0].conditions.stride
        assert row[1] == (f"M-{stride}" if stride else _mode(cells[0]))
    assert next(numbered, None) is None
    # T, T_H, T_O in this order.
    header = next(line for line in text.splitlines() if line.startswith("| THR. "))
    assert [cell.conditions.species for cell in table("table2").rows()[0]] == ["all", "H", "O"]
    assert header.index("T_H") < header.index("T_O")


@needs_text
def test_table_3_equals_the_text(text: str) -> None:
    rows = _pipe_table(text, "2 message-passing layers")
    assert [row[0] for row in rows] == ["PET-C", "PET-NC"]
    # The file has one line per number, layer by layer.
    assert [number for row in rows for number in row[1:]] == [line[0] for line in printed(table("table3"))]
    assert [row[0].conditions.layers for row in table("table3").rows()] == [2, 3, 2, 3]


@needs_text
@pytest.mark.parametrize(
    ("name", "heading", "skip"),
    [
        ("table5", "TIMING PER STEP", 0),
        ("table7", "MPTRJ", 0),
        ("table8", "| WN | WN |", 2),
        ("table9", "| GLE | GLE |", 1),
    ],
)
def test_tables_by_model_equal_the_text(text: str, name: str, heading: str, skip: int) -> None:
    rows = _pipe_table(text, heading)
    heads, rows = rows[:skip], rows[skip:]
    assert [row[1:] for row in rows] == printed(table(name))
    for row, cells in zip(rows, table(name).rows(), strict=True):
        assert row[0].replace("*", "").upper() in (cells[0].model.shown.upper(), _bare(cells[0]))
    if heads:
        assert heads[-1][1:] == [
            {"all": "ALL"}.get(c.conditions.species, c.conditions.species) for c in table(name).rows()[0]
        ]
    if name == "table8":
        assert heads[0][1:] == [f"{c.conditions.tau_fs:g}" for c in table(name).rows()[0]]


def _bare(cell: numbers.PaperCell) -> str:
    """Table 5 calls both PET."""
    return re.sub(r"-N?C ", " ", cell.model.shown.upper())


@needs_text
def test_table_10_equals_the_text(text: str) -> None:
    rows = _pipe_table(text, "| Type ")
    assert [row[1:] for row in rows] == printed(table("table10"))
    strides = [re.search(r"\d+", row[0]) for row in rows]
    assert [int(s.group()) if s else None for s in strides] == [r[0].conditions.stride for r in table("table10").rows()]
    assert [row[0] for row in rows[:2]] == [_mode(cells[0]) for cells in table("table10").rows()[:2]]


@needs_text
def test_quoted_numbers_equal_the_text(text: str) -> None:
    result = re.search(r"values of λ – (.*?), computed on a few water structures", text, re.DOTALL)
    assert result
    quoted = re.findall(r"([\d.]+) for ([\w-]+)", result[1])
    assert quoted == [(row[0].printed.text, row[0].model.label) for row in table("lambda").rows()]
    result = re.search(r"non-zero total work \((.*?)\)", text, re.DOTALL)
    assert result
    quoted = re.findall(r"([\w-]+): (-?\d+) meV", result[1])
    shown = [(row[0].model.label.removesuffix(" (large)"), row[0].printed.text) for row in table("figure6").rows()]
    assert quoted == shown
    result = re.search(r"rate of heating of about (\d)'000 billion degrees per second", text)
    assert result
    assert "another 10 times larger for the general-purpose ORB model" in text
    rates = [row[0].printed.value for row in table("figure2").rows()]
    assert rates == [int(result[1]) * 1000 * 1e9, int(result[1]) * 1000 * 1e9 * 10]


@needs_text
def test_units_and_lengths_equal_the_text(text: str) -> None:
    assert "energies in meV per atom, forces in meV/Å" in text
    assert "Table 8. Average kinetic temperatures (in K)" in text
    assert "Table 5. Timings (ms)" in text
    assert "Table 7. Percentage success rate" in text
    assert re.search(r"average time per atom \(in ms\)", text)
    assert "a respectable 1 ns trajectory" in text
    assert {(c.column, c.unit) for c in table("table6").cells} == {
        ("energy", "meV/atom"), ("forces", "meV/Å"), ("training", "s"), ("evaluation", "ms"),
    }  # fmt: skip
