"""The declaration of a diagnostic: settings with their options, a function, table schemas, cost, and presentation.

A diagnostic is one module of this folder that ends in ``DIAGNOSTIC = Diagnostic(...)``; :mod:`ncbench.diagnostics.registry` finds it.
Its ``run`` is a function of a force field, structures, settings and a seed: it returns rows and writes no files. The state for resuming a run is kept
in the :class:`Context`, which also receives its progress.

Modules here import without torch, ASE and SciPy, since the command line is generated from them: other imports are inside ``run``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ncbench.options import Option
from ncbench.schema import TableSchema
from ncbench.statistics.cells import Cell
from ncbench.statistics.format import ABSENT, at_most, number, with_error
from ncbench.types import Budget, Case, Checkpoint, Outcome, Progress

if TYPE_CHECKING:
    import pandas as pd

    from ncbench.models.interface import ForceField


@dataclass
class Context:
    """Services that a diagnostic may use."""

    progress: Progress
    checkpoint: Checkpoint
    reference: ForceField | None = None
    """The second model, if the job has one."""
    files: Path | None = None
    """A folder for data too large for tables, such as trajectories; ``None`` if there is none."""


class Run(Protocol):
    """The function of a diagnostic."""

    def __call__(
        self, forcefield: ForceField, cases: Sequence[Case], settings: Any, *, seed: int, context: Context
    ) -> Outcome:
        """Measure, and return rows."""


@dataclass(frozen=True)
class Divisible:
    """Work of a diagnostic that processes may share, because its times are no result."""

    kind: Literal["forces", "products"]
    """What takes most of its time: force calls, or products with the Jacobian."""
    items: Callable[[Any, Sequence[Case]], int]
    """(settings, structures) → how many force calls or products can be computed at the same time."""


@dataclass(frozen=True)
class Shown:
    """A column of the table printed after a run."""

    heading: str
    column: str
    error: str = ""
    """Column of the standard error."""
    at_most: str = ""
    """Column of a bound: a value not above it is printed as ``≤ bound``."""
    floor: str = ""
    """Column of the numerical floor: a bound is at least the floor, below which nothing is resolved."""
    above: str = ""
    """Column that states whether the value is above its bound; without one, three times the bound is the limit."""
    optional: bool = False
    """Left out where no row has it."""
    instead: str = ""
    """Column for rows without a value in ``column``; its standard error is in the column of this name with ``_se``."""
    known: str = ""
    """Column that states whether the error is known; if false it is a lower bound, and is marked ``?``."""

    @classmethod
    def measured(cls, heading: str, column: str, *, known: str = "", instead: str = "") -> Shown:
        """A number whose standard error is in the column of its name with ``_se``."""
        return cls(heading, column, f"{column}_se", known=known, instead=instead)

    def text(self, row: Mapping[str, Any]) -> str:
        """The value of a row with its error, or a bound, as printed; a dash where there is none."""
        value, error = row.get(self.column), row.get(self.error)
        if value is None and self.instead:
            value, error = row.get(self.instead), row.get(f"{self.instead}_se")
        if value is None or isinstance(value, str):
            return value or ABSENT
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int):
            return str(value)
        bound = row.get(self.at_most) if self.at_most else None
        if bound is not None and not (row.get(self.above) if self.above in row else value > 3 * bound):
            return at_most(max(value, bound, row.get(self.floor) or 0.0))
        return with_error(value, error, known=row.get(self.known) is not False) if self.error else number(value)


@dataclass(frozen=True)
class Quantity:
    """A number per model in summaries, reports and verdicts."""

    key: str
    heading: str
    unit: str
    """Unit of the number; a heading in words includes its own."""
    value: Callable[[pd.DataFrame], Cell]
    """Function of the diagnostic's rows (at least one) with status ``ok`` of one model on one system."""
    better: Literal["zero", "high", ""] = "zero"
    """How models are ranked by it: nearer to zero, which a conservative model gives; higher; or not at all."""
    all_systems: bool = False
    """Whether it gets the rows of all systems instead."""
    note: str = ""
    """A sentence below tables with this number: what it must not be taken for, or how its error was made."""

    @property
    def title(self) -> str:
        """Heading with the unit."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading

    @property
    def name(self) -> str:
        """Name of the column in CSV files, unit included."""
        unit = self.unit.replace("%", "percent").replace("/", "_per_")
        return "_".join(part for part in (self.key, unit) if part)


INTEGRATORS = ("verlet", "mts", "rescaled")
"""Values of the column ``integrator``: plain velocity Verlet shows the effect of a model's own forces; the others change the dynamics."""
REAL_MASSES = ("",)
"""Values of the column ``masses_u``: runs without hydrogen mass repartitioning come first, since repartitioned masses change the times."""

Rows = Sequence[Mapping[str, Any]]
SideRows = Callable[[str], Rows]
"""Function from the name of a side table to its rows with status ``ok`` or ``exploded`` from the jobs of this run."""


def no_quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """For a diagnostic whose numbers are only in its own table."""
    return ()


def no_remarks(rows: Rows, side: SideRows) -> Sequence[str]:
    """For a diagnostic without sentences after its table."""
    return ()


def label_of(row: Mapping[str, Any]) -> str:
    """``MODEL:MODE`` of a row; a model that could not be loaded may have no mode."""
    return f"{row['model']}:{row['force_mode']}" if row["force_mode"] else str(row["model"])


@dataclass(frozen=True)
class ExtraOption:
    """An option of the command that is not a field of the settings: :attr:`Diagnostic.resolve` converts it to fields."""

    name: str
    type: Any
    option: Option


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """A diagnostic with everything that other parts of the program use."""

    name: str
    version: int
    """Part of the key of every result: increased when the meaning of a number changes."""
    summary: str
    """One line: in ``ncbench --help``, and the first line of the command's own help."""
    help: str = ""
    """The rest of the command's help, in Markdown."""
    examples: tuple[str, ...] = ()
    """Commands as typed, without ``ncbench`` and the diagnostic's name."""
    rank: int = 100
    """Position in lists; equal ranks are ordered by name."""
    settings: type
    """A frozen dataclass of plain values; a field with ``Annotated[..., Option(...)]`` is an option of the command."""
    presets: Mapping[Budget, Any]
    """One instance of the settings for each budget."""
    run: Callable[..., Outcome]
    schema: TableSchema
    side_schemas: Mapping[str, TableSchema] = field(default_factory=dict)
    cost: Callable[[Any, int], float]
    """(settings, atoms) → force calls per structure, from which ``--plan`` and progress estimate the time."""
    divisible: Divisible | None = None
    """Work that processes may share; ``None``: structures are computed one after the other, or times are measured."""
    show: tuple[Shown, ...] = ()
    """Columns of the table printed after a run, besides model, structure and status."""
    quantities: Callable[[pd.DataFrame | None], tuple[Quantity, ...]] = no_quantities
    """Function from all rows of the table in a results folder (``None`` if there are none) to its numbers in summaries."""
    ranks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column → its values, the preferred first: where rows of one model differ in it, summaries, reports and comparisons
    use those of the first existing value. An absent value counts as the first."""
    remarks: Callable[[Rows, SideRows], Sequence[str]] = no_remarks
    """Sentences printed after a run's table, from its rows."""
    conditions: tuple[str, ...] = ()
    """Columns with the conditions of a number, for the summary."""
    extra_options: tuple[ExtraOption, ...] = ()
    resolve: Callable[[dict[str, Any]], dict[str, Any]] = dict
    """Function from the given options, by field or extra name, to settings; raises UsageError if they exclude each other."""
    takes_reference: bool = False
    """``--reference MODEL`` names a second model."""
    reads_labels: bool = False
    """Whether the numbers depend on reference energies and forces of the structures."""
    default_system: str = "water64"
    """The default system."""
    default_structures: Mapping[Budget, int] = field(default_factory=lambda: dict.fromkeys(Budget, 1))
    """Number of structures of the default system at each budget."""
