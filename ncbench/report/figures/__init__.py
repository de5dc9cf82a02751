"""The table of figures drawn from result tables: name, required tables, and drawing function of each.

A drawing function has the signature ``draw(tables, paths)``: the tables by name (only rows with status ``ok``; optional ones may be
absent) and the files to write, whose suffixes name the formats. It never imports torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("png", "svg")


@dataclass(frozen=True, kw_only=True)
class FigureRow:
    """An entry of the table of figures."""

    name: str
    """File name without suffix."""
    title: str
    needs: tuple[str, ...]
    """Required tables."""
    takes: tuple[str, ...] = ()
    """Optional tables."""
    module: str
    """Module of its ``draw``."""

    def drawable(self, names: Collection[str]) -> bool:
        """Whether tables of these names are enough."""
        return set(self.needs) <= set(names)

    def draw(self, tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
        """Draw it from those of the tables that it takes, into each of the files; their suffixes name the formats."""
        taken = {name: tables[name] for name in (*self.needs, *self.takes) if name in tables}
        import_module(self.module).draw(taken, paths)


FIGURES: tuple[FigureRow, ...] = (
    FigureRow(
        name="nve-drift",
        title="Temperature and energy of constant-energy dynamics",
        needs=("nve-drift-series",),
        takes=("nve-drift",),
        module="ncbench.report.figures.nve_drift",
    ),
    FigureRow(
        name="nve-drift-species",
        title="Temperature of each element in constant-energy dynamics",
        needs=("nve-drift-species_series", "nve-drift-series"),
        takes=("nve-drift",),
        module="ncbench.report.figures.species_temperature",
    ),
    FigureRow(
        name="nve-drift-timesteps",
        title="Drift of the energy against the time step",
        needs=("nve-drift-timesteps", "nve-drift"),
        module="ncbench.report.figures.timesteps",
    ),
    FigureRow(
        name="workloop",
        title="Work of the forces along closed paths",
        needs=("workloop-curve",),
        module="ncbench.report.figures.workloop",
    ),
    FigureRow(
        name="relax",
        title="Largest force against step of a relaxation, and its path through configurations",
        needs=("relax-trace",),
        takes=("relax-path", "relax"),
        module="ncbench.report.figures.relax",
    ),
    FigureRow(
        name="phonon-smoothness",
        title="Force constants and frequencies against the displacement of the atoms",
        needs=("phonon-smoothness-lengths",),
        module="ncbench.report.figures.phonon_smoothness",
    ),
    FigureRow(
        name="mts",
        title="Multiple time stepping: cost and drift against M",
        needs=("mts",),
        module="ncbench.report.figures.mts",
    ),
    FigureRow(
        name="mts-temperature",
        title="Multiple time stepping: temperature against time",
        needs=("mts-series",),
        module="ncbench.report.figures.mts_temperature",
    ),
    FigureRow(
        name="mts-design",
        title="Choice of M: vibrations, slow forces and the scan",
        needs=("mts-design", "mts-design-spectrum", "mts-design-design"),
        module="ncbench.report.figures.mts_design",
    ),
    FigureRow(
        name="analysis",
        title="Structure and spectra of trajectories",
        needs=("analyse-rdf",),
        takes=("analyse-orientation", "analyse-spectrum"),
        module="ncbench.report.figures.structure",
    ),
    FigureRow(
        name="figure3",
        title="Velocity power spectra of thermostatted water",
        needs=("figure3-spectrum",),
        module="ncbench.report.figures.spectra",
    ),
    FigureRow(
        name="npt",
        title="Cell length and enthalpy at constant pressure",
        needs=("npt-series",),
        module="ncbench.report.figures.npt",
    ),
    FigureRow(
        name="figure12",
        title="Structure of thermostatted water against conservative dynamics",
        needs=("figure12-rdf",),
        takes=("figure12-orientation",),
        module="ncbench.report.figures.structure_differences",
    ),
    FigureRow(
        name="figure17",
        title="Structure of water with multiple time stepping against conservative dynamics",
        needs=("figure17-rdf",),
        takes=("figure17-orientation",),
        module="ncbench.report.figures.structure_differences",
    ),
    FigureRow(
        name="training",
        title="Force errors of trained models against the time of their training",
        needs=("training-curve",),
        module="ncbench.report.figures.training",
    ),
    FigureRow(
        name="jacobian-pairs",
        title="Blocks of the force Jacobian against distance",
        needs=("lambda-pairs",),
        module="ncbench.report.figures.jacobian_pairs",
    ),
    FigureRow(
        name="predict-map",
        title="Pairs of vibrations that heat, predicted from the force Jacobian",
        needs=("predict-map",),
        module="ncbench.report.figures.heating_map",
    ),
    FigureRow(
        name="lambda-step-scan",
        title="λ against the step of the central differences",
        needs=("lambda-step-scan",),
        module="ncbench.report.figures.step_scan",
    ),
)


def draw_figures(folder: Path, out: Path, *, tables: Sequence[str] | None = None) -> list[Path]:
    """Draw every figure whose tables are in ``folder``; with ``tables``, only those that need one of them.

    Returns the files written, PNG and SVG of each.

    Raises:
        StoreError: a table that cannot be read.
    """
    from ncbench.report.read import read_table

    written: list[Path] = []
    loaded: dict[str, pd.DataFrame | None] = {}
    for figure in FIGURES:
        if tables is not None and not set(tables) & set(figure.needs):
            continue
        for name in (*figure.needs, *figure.takes):
            if name not in loaded:
                loaded[name] = read_table(folder / f"{name}.parquet")
        frames = {name: frame for name, frame in loaded.items() if frame is not None}
        if not figure.drawable(frames):
            continue
        paths = [out / f"{figure.name}.{suffix}" for suffix in FORMATS]
        figure.draw(frames, paths)
        written += paths
    return written
