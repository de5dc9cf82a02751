"""Any diagnostic as a function of a model and structures: what the command of the same name measures, without files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ase import Atoms

from ncbench.api.any_model import forcefield_of, nothing_changed, structures_of
from ncbench.api.arguments import checked
from ncbench.api.frames import described
from ncbench.api.outside import Bar, NotKept, Silent, force_mode, is_watched
from ncbench.api.plots import Plot, plot_of
from ncbench.diagnostics import protocols, registry
from ncbench.diagnostics.base import Context, Diagnostic, Quantity, label_of
from ncbench.errors import UsageError
from ncbench.models.interface import ForceField
from ncbench.report.read import plain_frame
from ncbench.run.plan import apply_overrides
from ncbench.schema import TableSchema
from ncbench.statistics.cells import Cell
from ncbench.store import tables
from ncbench.types import Budget, Case, ForceMode, Outcome, Status

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class Measurement:
    """Rows of a diagnostic, one per structure (and per replica, time step or thermostat, as its table has it)."""

    diagnostic: str
    settings: Any
    """The settings used: a frozen dataclass of the diagnostic."""
    rows: tuple[dict[str, Any], ...]
    """Column → value, ``None`` where there is none. A structure that failed has a status and a reason instead of numbers."""
    side: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict, repr=False)
    """Rows of the side tables by name, such as ``series``."""

    @property
    def ok(self) -> bool:
        """Every structure has a result: status ``ok``, or ``exploded``, which is one too."""
        return all(row["status"] in (Status.OK, Status.EXPLODED) for row in self.rows)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why rows have no result, each with its structure."""
        return tuple(f"{row['structure']}: {row['reason']}" for row in self.rows if row["status"] != Status.OK)

    def to_frame(self, table: str = "") -> pd.DataFrame:
        """The main table, or the side table of this name, with ``attrs["units"]`` and ``attrs["meanings"]`` by column.

        Absent values are missing values of nullable types.

        Raises:
            UsageError: the diagnostic has no side table of this name.
        """
        schema = self._schema(table)
        return described(tables.frame(self._arrow(table)), schema.all_columns)

    def quantities(self) -> dict[str, Cell]:
        """The numbers that summaries and reports show, by name with unit; ``str`` of one is its value with the error.

        Each is over the structures with status ``ok``; empty where there are none.
        """
        good = plain_frame(self._arrow(""))
        good = good[good["status"] == Status.OK.value]
        if not len(good):
            return {}
        declared: tuple[Quantity, ...] = registry.get(self.diagnostic).quantities(good)
        return {quantity.name: quantity.value(good) for quantity in declared}

    def plot(self, name: str | None = None) -> Plot:
        """The figure of the command line, of the structures with status ``ok``; ``name`` chooses among several, such as ``nve-drift-timesteps``.

        Raises:
            UsageError: no such figure; a diagnostic that draws none, or only with other settings.
        """
        frames = {}
        for table in ("", *self.side):
            frame = plain_frame(
                tables.table_of(self._schema(table), self.side.get(table, ()) if table else self.rows, {}, "")
            )
            frame = frame[frame["status"] == Status.OK.value]
            if len(frame):
                frames[f"{self.diagnostic}-{table}" if table else self.diagnostic] = frame
        return plot_of(frames, name, hint=f"{self.diagnostic} draws none from these rows; to_frame() has the numbers.")

    def _schema(self, table: str) -> TableSchema:
        diagnostic = registry.get(self.diagnostic)
        if not table:
            return diagnostic.schema
        if table not in diagnostic.side_schemas:
            known = ", ".join(diagnostic.side_schemas) or "none"
            raise UsageError(f"{self.diagnostic} has no side table '{table}'.", hint=f"It has: {known}.")
        return diagnostic.side_schemas[table]

    def _arrow(self, table: str) -> pa.Table:
        """As the store has it, without the key of a job."""
        rows = self.side.get(table, ()) if table else self.rows
        return tables.table_of(self._schema(table), rows, {}, "").drop_columns([tables.JOB.name])

    def __str__(self) -> str:
        """One line per quantity, and one per structure without a result."""
        first = self.rows[0]
        lines = [f"{self.diagnostic} of {label_of(first)}"]
        quantities = self.quantities()
        lines += [f"  {name}: {cell}" for name, cell in quantities.items() if cell.value is not None]
        if not quantities:
            # A diagnostic without numbers in summaries prints those of its table.
            shown = registry.get(self.diagnostic).show
            lines += [
                f"  {row['structure']}: {', '.join(f'{one.heading} {one.text(row)}' for one in shown if row.get(one.column) is not None)}"
                for row in self.rows
                if row["status"] == Status.OK
            ]
        if any(cell.loose and cell.value is not None for cell in quantities.values()):
            lines.append("  ?: the run is too short for its error to be known; the printed one is a lower bound")
        lines += [f"  {reason}" for reason in self.reasons]
        return "\n".join(lines)


@checked
def measure(
    diagnostic: str,
    model: object,
    atoms: Atoms | Sequence[Atoms],
    *,
    budget: str = "laptop",
    seed: int = 0,
    mode: str | None = None,
    reference: object | None = None,
    device: str | None = None,
    dtype: str | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Measurement:
    """Run a diagnostic on structures, in this process and without files.

    Args:
        diagnostic: its name, as on the command line.
        model: what ``--model`` takes, as a string; an ASE calculator; a loaded force field of ncbench; or a callable from positions
            [N, 3] (Å) to forces [N, 3] (eV/Å) by torch operations, which has no energies.
        atoms: a structure, or a sequence of them. Momenta, masses, constraints, charges and ``info`` count as on the command line.
        budget: ``smoke``, ``laptop`` or ``paper``: the settings that are not given.
        seed: of everything random.
        mode: ``conservative`` or ``direct``: where the forces of an ASE calculator come from; unknown by default.
        reference: a second model in the same ways, for ``mts`` and ``predict``.
        device: of a model given by name, or of the positions that a callable is given.
        dtype: as ``device``.
        progress: show a progress bar; by default on a terminal and in a notebook.
        **settings: fields of the diagnostic's settings, such as ``duration_fs=500``; docs/diagnostics.md lists them.

    Raises:
        UsageError: no such diagnostic, setting, budget or mode; a model that cannot be loaded as requested.
        StructureError: a structure no model could evaluate.
        UnsupportedError: the model cannot take any of the structures, or lacks what the diagnostic needs.
    """
    of_name = registry.get(diagnostic)
    structures = structures_of(atoms)
    chosen = apply_overrides(of_name.presets[_budget(budget)], protocols.applied(diagnostic, settings), diagnostic)
    cases = [Case(one.info.get("name") or f"{one.get_chemical_formula()}-{i}", one) for i, one in enumerate(structures)]
    cases = [Case(str(case.name), case.atoms.copy()) for case in cases]
    with nothing_changed(model):
        forcefield = forcefield_of(model, structures[0], device=device, dtype=dtype, mode=force_mode(mode))
        partner = None if reference is None else _partner(reference, structures[0], device, dtype)
        show = is_watched() if progress is None else progress
        with Bar(diagnostic) if show else nullcontext(Silent()) as watch:
            context = Context(progress=watch, checkpoint=NotKept(), reference=partner)
            outcome = of_name.run(forcefield, cases, chosen, seed=seed, context=context)
    return _measurement(of_name, chosen, forcefield, outcome, seed)


def _measurement(
    diagnostic: Diagnostic, settings: Any, forcefield: ForceField, outcome: Outcome, seed: int
) -> Measurement:
    card = forcefield.card
    common = {
        "model": card.name,
        "force_mode": str(card.force_mode),
        "system": "",
        "seed": seed,
        "dtype": card.dtype,
        "device": card.device,
        "status": Status.OK.value,
        "reason": "",
    }
    side = {name: tuple(common | row for row in rows) for name, rows in outcome.side.items()}
    return Measurement(diagnostic.name, settings, tuple(common | row for row in outcome.rows), side)


def _partner(reference: object, atoms: Atoms, device: str | None, dtype: str | None) -> ForceField:
    return forcefield_of(reference, atoms, device=device, dtype=dtype, mode=ForceMode.UNKNOWN)


def _budget(name: str) -> Budget:
    try:
        return Budget(name)
    except ValueError:
        raise UsageError(f"There is no budget '{name}'.", hint=f"Budgets: {', '.join(Budget)}.") from None


def work_loop(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Work ∮ f·dr of the forces around closed paths, meV (Bigi, Langer & Ceriotti 2025, Eq. 5).

    :func:`measure` of ``workloop``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("workloop", model, atoms, **options)


def nve_drift(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Drift of total energy (meV/atom/ps) and temperature (K/ps) at constant energy (Bigi, Langer & Ceriotti 2025, Sec. 4.4 and App. G.1).

    :func:`measure` of ``nve-drift``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("nve-drift", model, atoms, **options)


def compare_engines(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Drifts of the same start in ncbench, ASE, LAMMPS, i-PI and torch-sim, meV/atom/ps; first energies (eV) and forces (eV/Å) compared.

    :func:`measure` of ``compare-engines``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("compare-engines", model, atoms, **options)


def nvt(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Temperatures (K) of all atoms and each element under thermostats, and their power, meV/atom/ps (Bigi, Langer & Ceriotti 2025, Tables 2, 8 and 9).

    :func:`measure` of ``nvt``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("nvt", model, atoms, **options)


def npt(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Cell length (Å) and drift of the enthalpy (meV/atom/ps) at constant pressure (Bigi, Langer & Ceriotti 2025, App. G.3).

    :func:`measure` of ``npt``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("npt", model, atoms, **options)


def mts(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Cost of a step (ms, and over that of direct forces) and drift (meV/atom/ps) of multiple time stepping (Bigi, Langer & Ceriotti 2025, App. I).

    :func:`measure` of ``mts``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("mts", model, atoms, **options)


def mts_design(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Choice of M and Δt (fs) for multiple time stepping, from the spectrum (cm⁻¹) of slow minus fast forces (:mod:`ncbench.md.resonance`) and a scan of M.

    :func:`measure` of ``mts-design``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("mts-design", model, atoms, **options)


def consistency(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Forces against energies, symmetries and stresses: gaps and jumps, meV, meV/Å and MPa, each with its numerical floor.

    :func:`measure` of ``consistency``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("consistency", model, atoms, **options)


def phonon_smoothness(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Vibrational frequencies (cm⁻¹) against the displacement (Å) of the atoms (Fu et al., ICML 2025, arXiv:2502.12147).

    :func:`measure` of ``phonon-smoothness``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("phonon-smoothness", model, atoms, **options)


def relax(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Geometry optimisations and their success rate, %; largest force below 1e-5 eV/Å (molecules) or 1e-4 eV/Å (periodic) (Bigi, Langer & Ceriotti 2025, Table 7).

    :func:`measure` of ``relax``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("relax", model, atoms, **options)


def timing(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Wall time of a molecular dynamics step, ms (Bigi, Langer & Ceriotti 2025, Table 5).

    :func:`measure` of ``timing``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("timing", model, atoms, **options)


def accuracy(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Mean absolute and rms errors of energies (meV/atom) and forces (meV/Å) on labelled structures.

    :func:`measure` of ``accuracy``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("accuracy", model, atoms, **options)


def evaluate(model: object, atoms: Atoms | Sequence[Atoms], **options: Any) -> Measurement:
    """Energies (eV), forces (eV/Å) and stresses (eV/Å³) of structures.

    :func:`measure` of ``evaluate``: arguments, tables with the unit of each column, and errors are the same.
    """
    return measure("evaluate", model, atoms, **options)
