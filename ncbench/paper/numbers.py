"""The paper's numbers, each with its conditions and its error as printed. Nothing here imports torch.

They are TOML files in the folder ``numbers``, whose README describes the layout.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from typing import Any

from ncbench.errors import UsageError, did_you_mean

SCHEMA = 1
NAMES = (
    "table1", "table2", "table3", "table5", "table6", "table7", "table8", "table9", "table10", "lambda", "figure2", "figure6",
)  # fmt: skip
"""Tables of the paper with numbers (Table 4 is a list of models), and sets of numbers quoted in the text, in the order they are listed."""

RECIPE_PREFIX = "water-"
"""Models of the training recipes are named by this and the recipe."""

_PRINTED = re.compile(
    r"(?P<number>-?\d+(?:\.(?P<decimals>\d+))?(?:e(?P<power>\d+))?)(?:\((?P<error>[\d.]+)\))?(?P<star>\**)"
)
ABSENT = ("", "–")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Conditions of a number as given in the paper; ``None`` if not given."""

    system: str | None = None
    n_atoms: int | None = None
    temperature_K: float | None = None
    thermostat: str | None = None
    """langevin (the paper's WN), svr or gle."""
    tau_fs: float | None = None
    """The thermostat's time constant."""
    species: str | None = None
    """An element, or all."""
    stride: int | None = None
    """Fast-force steps per slow-force evaluation, M."""
    length_ps: float | None = None
    """Length of the trajectory."""
    path: str | None = None
    targets: str | None = None
    """Quantities that a model was trained on: V, f, or both."""
    training: str | None = None
    """If it differs from the model's own entry."""
    layers: int | None = None
    """Message-passing layers."""
    batch: int | None = None
    optimizer: str | None = None
    displacement_A: float | None = None
    fmax_eV_per_A: float | None = None
    max_steps: int | None = None
    hardware: str | None = None
    engine: str | None = None

    def known(self) -> dict[str, Any]:
        """The conditions that the paper gives."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


@dataclass(frozen=True, kw_only=True)
class PaperModel:
    """A model of the paper, and the corresponding model in result tables."""

    key: str
    label: str
    mode: str
    """conservative, direct, or mts."""
    functional: str
    training: str
    ours: str = ""
    """``NAME:MODE``; empty if there is none."""
    same: bool = False
    """Whether ours has the paper's weights."""
    recipe: str = ""
    """Recipe of ``benchmarks/training/water`` that makes a model of this kind."""
    reason: str = ""
    """Why it is another model, or why there is none; for the same weights, the assumptions."""

    @property
    def candidates(self) -> tuple[str, ...]:
        """``NAME:MODE`` of the models that correspond to it, in order of preference."""
        made = f"{RECIPE_PREFIX}{self.recipe}:{self.mode}" if self.recipe else ""
        return tuple(name for name in (self.ours, made) if name)

    @property
    def shown(self) -> str:
        """Label with the paper's letters for the force mode."""
        letters = {"conservative": "C", "direct": "NC"}.get(self.mode)
        return f"{self.label} ({letters})" if letters else self.label


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Selection of a cell in result tables; the README of the folder ``numbers`` explains each key."""

    table: str = ""
    value: str = ""
    error: str = ""
    scale: float = 1.0
    combine: str = "mean"
    systems: tuple[str, ...] = ()
    match: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Any] = field(default_factory=dict)
    between: Mapping[str, Sequence[float]] = field(default_factory=dict)
    predicted: bool = False
    per: str = ""
    machine: str = ""
    differs: tuple[str, ...] = ()
    incomparable: bool = False
    none: str = ""
    needs_weights: bool = False


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A number as the paper prints it."""

    text: str
    value: float | None
    """``None`` if the paper prints no number."""
    error: float | None
    """``None`` if it prints no error."""
    rounding: float | None
    """Standard deviation of the rounding to the last printed digit: its unit over √12."""
    footnote: str = ""


@dataclass(frozen=True, kw_only=True)
class PaperCell:
    """One number of the paper."""

    table: str
    row: int
    column: str
    heading: str
    unit: str
    model: PaperModel
    conditions: Conditions
    printed: Printed
    selection: Selection

    @property
    def name(self) -> str:
        """``TABLE/ROW/COLUMN``, rows counted from 1."""
        return f"{self.table}/{self.row + 1}/{self.column}"


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """A table of the paper."""

    name: str
    title: str
    place: str
    stub: tuple[str, ...]
    """Conditions that distinguish the rows, besides the model."""
    notes: tuple[str, ...]
    columns: tuple[tuple[str, str, str], ...]
    """(key, heading, unit)."""
    cells: tuple[PaperCell, ...]
    """Row by row, including absent ones."""

    def rows(self) -> list[list[PaperCell]]:
        """The cells as a matrix."""
        width = len(self.columns)
        return [list(self.cells[start : start + width]) for start in range(0, len(self.cells), width)]


def parse_printed(text: str) -> Printed:
    """``51.0(6)``, ``229.5(1.6)``, ``1.2e6``, ``1.26**``, ``–``.

    An error without a decimal point counts in units of the last digit, one with a point in the unit of the number.

    Raises:
        ValueError: the text is none of these.
    """
    if text in ABSENT:
        return Printed(text=text, value=None, error=None, rounding=None)
    match = _PRINTED.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number in the paper's format")
    # The power of ten stays in the text, so that 1.2e6 is parsed exactly by Python.
    last_digit = 10.0 ** (int(match["power"] or 0) - len(match["decimals"] or ""))
    error = match["error"]
    size = None if error is None else float(error) * (1.0 if "." in error else last_digit)
    return Printed(
        text=text,
        value=float(match["number"]),
        error=size,
        rounding=last_digit / math.sqrt(12.0),
        footnote=match["star"],
    )


@cache
def models() -> dict[str, PaperModel]:
    """The paper's models by key."""
    return {entry["key"]: PaperModel(**entry) for entry in _read("models")["models"]}


def names() -> tuple[str, ...]:
    """Names of all tables, in the order they are listed."""
    return NAMES


@cache
def table(name: str) -> PaperTable:
    """The table of this name.

    Raises:
        UsageError: no such table.
    """
    if name not in NAMES:
        hint = did_you_mean(name, NAMES) or f"There are {', '.join(NAMES)}."
        raise UsageError(f"There is no table '{name}' of the paper.", hint=hint)
    return build(_read(name), models())


def build(content: Mapping[str, Any], known: Mapping[str, PaperModel]) -> PaperTable:
    """A table from the content of its file.

    Raises:
        ValueError, KeyError, TypeError: the content does not have the layout of the folder's README.
    """
    if set(content) - {"schema", "name", "title", "place", "stub", "notes", "conditions", "ours", "columns", "rows"}:
        raise ValueError(f"{content['name']} has unknown keys")
    columns, cells = content["columns"], []
    for number, row in enumerate(content["rows"]):
        if len(row["printed"]) != len(columns):
            raise ValueError(
                f"{content['name']}, row {number + 1}: {len(row['printed'])} numbers, {len(columns)} columns"
            )
        for column, text in zip(columns, row["printed"], strict=True):
            conditions = _merged(part.get("conditions", {}) for part in (content, column, row))
            alone = row.get("cells", {}).get(column["key"], {})
            cells.append(
                PaperCell(
                    table=content["name"],
                    row=number,
                    column=column["key"],
                    heading=column["heading"],
                    unit=column["unit"],
                    model=known[row["model"]],
                    conditions=Conditions(**conditions),
                    printed=parse_printed(text),
                    selection=selection_of(
                        _merged([*(part.get("ours", {}) for part in (content, column, row)), alone])
                    ),
                )
            )
    return PaperTable(
        name=content["name"],
        title=content["title"],
        place=content["place"],
        stub=tuple(content.get("stub", ())),
        notes=tuple(content.get("notes", ())),
        columns=tuple((column["key"], column["heading"], column["unit"]) for column in columns),
        cells=tuple(cells),
    )


def _merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Later ones override earlier ones, key by key."""
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= part
    return merged


def selection_of(entry: Mapping[str, Any]) -> Selection:
    """A selection from its entry in a file.

    Raises:
        TypeError: an unknown key.
    """
    lists = {name: tuple(entry[name]) for name in ("systems", "differs") if name in entry}
    return Selection(**{**entry, **lists})


def _read(name: str) -> dict[str, Any]:
    text = (files("ncbench.paper") / "numbers" / f"{name}.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)
    if content["schema"] != SCHEMA:
        raise ValueError(f"{name}.toml has layout {content['schema']}, this reads {SCHEMA}")
    return content
