"""The tables of a results folder as tidy frames, and several of them joined by model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ncbench.api.arguments import checked
from ncbench.api.frames import described
from ncbench.api.plots import Plot, plot_of
from ncbench.diagnostics import registry
from ncbench.errors import UsageError, did_you_mean
from ncbench.report import aggregate
from ncbench.report.figures import FIGURES
from ncbench.report.read import Results, read, read_every_row, read_table
from ncbench.store.layout import merged_path

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LoadedResults:
    """A results folder. ``results["nve-drift"]`` is a frame, ``results.joined()`` one row per model with every number."""

    folder: Path
    frames: Mapping[str, pd.DataFrame]
    """Main tables by diagnostic, with rows of every status; ``attrs["units"]`` and ``attrs["meanings"]`` by column."""
    _results: Results

    @checked
    def __getitem__(self, name: str) -> pd.DataFrame:
        """The table of a diagnostic (``nve-drift``), or a side table (``nve-drift-series``).

        Raises:
            UsageError: the folder has no such table.
        """
        if name in self.frames:
            return self.frames[name]
        for diagnostic in registry.diagnostics().values():
            for side, schema in diagnostic.side_schemas.items():
                path = merged_path(self.folder, diagnostic.name, side)
                if path.stem == name and (frame := read_every_row(path.with_suffix(".parquet"))) is not None:
                    return described(frame, schema.all_columns)
        near = did_you_mean(name, self.frames) or f"It has: {', '.join(self.frames)}."
        raise UsageError(f"The folder '{self.folder}' has no table '{name}'.", hint=near)

    def plot(self, name: str | None = None) -> Plot:
        """A figure of ``ncbench figures``, of the rows with status ``ok``: ``name``, such as ``nve-drift``, or the first there is.

        Raises:
            UsageError: no such figure, or no table that has one.
        """
        frames = {}
        for table in dict.fromkeys(table for figure in FIGURES for table in (*figure.needs, *figure.takes)):
            if (frame := read_table(self.folder / f"{table}.parquet")) is not None:
                frames[table] = frame
        return plot_of(frames, name, hint="No table of this folder has a figure.")

    @checked
    def joined(self, system: str | None = None, quantities: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per model and force mode, with each number of the summary and its standard error (column ``…_se``).

        Numbers are those of ``ncbench summary``: over the rows of the preferred method and the longest runs. Absent ones, and errors that are not
        known, are NaN; column ``…_error_known`` is false for a number without a known error, which the summary marks with ``?``.
        ``attrs["units"]`` has the units. Drift against λ of a folder, of the models that have both:

            results = ncbench.load_results("ncbench-results")
            frame = results.joined(quantities=["lambda", "energy_drift_meV_per_atom_per_ps"])
            frame.plot.scatter("lambda", "energy_drift_meV_per_atom_per_ps", logx=True)

        Args:
            system: the system; by default the one most numbers are of. A number that was not measured on it is that of the model's other systems.
            quantities: names of the quantities to keep, of models that have all of them; by default all quantities of all models.

        Raises:
            UsageError: the folder has no such quantity or system.
        """
        import pandas as pd

        systems = self._systems()
        if system is not None and system not in systems:
            near = did_you_mean(system, systems) or f"It has: {', '.join(systems)}."
            raise UsageError(f"The folder '{self.folder}' has no system '{system}'.", hint=near)
        system = system or self._results.main_system()
        columns = aggregate.columns(self._results)
        if quantities is not None:
            columns = tuple(self._column(columns, name) for name in quantities)
        rows, units = [], {}
        for model, mode in self._results.models():
            row: dict[str, object] = {"model": model, "force_mode": mode, "system": system}
            for column in columns:
                quantity = column.quantity
                cell = aggregate.cell(self._results, column, model, mode, system)
                row[quantity.name] = float("nan") if cell.value is None else cell.value
                known = cell.value is not None and cell.error is not None and not cell.loose
                row[f"{quantity.name}_se"] = cell.error if known else float("nan")
                row[f"{quantity.name}_error_known"] = known
                units[quantity.name] = units[f"{quantity.name}_se"] = quantity.unit
            rows.append(row)
        frame = pd.DataFrame(rows)
        if quantities is not None:
            frame = frame.dropna(subset=list(quantities), ignore_index=True)
        frame.attrs["units"] = units
        return frame

    def _systems(self) -> list[str]:
        names = (str(name) for frame in self.frames.values() for name in frame["system"].dropna().unique())
        return list(dict.fromkeys(names))

    @staticmethod
    def _column(columns: Sequence[aggregate.Column], name: str) -> aggregate.Column:
        by_name = {column.quantity.name: column for column in columns}
        if name not in by_name:
            near = did_you_mean(name, by_name) or f"It has: {', '.join(by_name)}."
            raise UsageError(f"The folder has no quantity '{name}'.", hint=near)
        return by_name[name]


@checked
def load_results(folder: str | Path) -> LoadedResults:
    """The tables of a results folder, as ``--out`` wrote them.

    Raises:
        UsageError: no such folder, or no result table in it.
        StoreError: a table that is damaged, not one of ncbench's, or of a newer version.
    """
    results = read(Path(folder))
    known = registry.diagnostics()
    frames = {
        name: described(frame, known[name].schema.all_columns)
        for name, frame in results.tables.items()
        if name in known
    }
    return LoadedResults(Path(folder), frames, results)
