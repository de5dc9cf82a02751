"""Result rows as a table for people: the columns that matter of each command, errors in brackets."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ncbench.statistics.format import ABSENT, number, with_error

PLAIN_WIDTH = 10_000
"""Width for output that is not a terminal: nothing is cut or folded."""


@dataclass(frozen=True)
class Shown:
    """A column of the printed table."""

    heading: str
    column: str
    error: str = ""
    at_most: str = ""
    """A column holding a bound: a value that is not above it is printed as ``≤ bound``."""
    above: str = ""
    """A column that says whether the value is above its bound; without one, three times the bound is."""
    optional: bool = False
    """Left out where no row has it."""


COLUMNS: Mapping[str, tuple[Shown, ...]] = {
    "lambda": (
        Shown("method", "method"),
        Shown("λ", "lambda", "lambda_se", "lambda_floor", above="above_floor"),
        Shown("λ on site", "lambda_on_site"),
        Shown("floor", "lambda_floor"),
        Shown("floor from", "floor_from", optional=True),
        Shown("λ stress", "lambda_stress", "lambda_stress_se", "lambda_stress_floor", optional=True),
        Shown("λ(h)", "scan_verdict", optional=True),
        Shown("‖J‖ eV/Å²", "jacobian_norm_eV_per_A2"),
        Shown("s", "seconds"),
    ),
    "workloop": (
        Shown("path", "path"),
        Shown("W meV", "work_meV", "work_error_meV"),
        Shown("quadrature ± meV", "quadrature_error_meV"),
        Shown("gross meV", "gross_work_meV"),
        Shown("curl meV/Å²", "curl_meV_per_A2"),
        Shown("points", "points"),
    ),
    "npt": (
        Shown("ensemble", "ensemble"),
        Shown("stress", "stress_from"),
        Shown("forces", "forces_from"),
        Shown("M", "stride"),
        Shown("cell Å", "cell_length_A", "cell_length_A_se"),
        Shown("cell drift Å/ps", "cell_drift_A_per_ps", "cell_drift_A_per_ps_se"),
        Shown(
            "enthalpy drift meV/atom/ps", "enthalpy_drift_meV_per_atom_per_ps", "enthalpy_drift_meV_per_atom_per_ps_se"
        ),
        Shown("⟨T⟩ K", "temperature_K", "temperature_K_se"),
        Shown("g/cm³", "density_g_per_cm3"),
    ),
    "nve-drift": (
        Shown("Δt fs", "timestep_fs"),
        Shown("steps", "steps"),
        Shown("drift meV/atom/ps", "energy_drift_meV_per_atom_per_ps", "energy_drift_meV_per_atom_per_ps_se"),
        Shown("drift K/ps", "drift_K_per_ps", "drift_K_per_ps_se"),
        Shown("⟨T⟩ K", "temperature_mean_K"),
    ),
    "analyse": (
        Shown("atoms", "species"),
        Shown("⟨T⟩ K", "temperature_K", "temperature_K_se"),
        Shown("dT/dt K/ps", "drift_K_per_ps", "drift_K_per_ps_se"),
        Shown("D Å²/ps", "diffusion_A2_per_ps", "diffusion_A2_per_ps_se"),
        Shown("cell Å", "cell_length_A", "cell_length_A_se"),
        Shown("frames", "frames"),
    ),
    "mts": (
        Shown("forces", "integrator"),
        Shown("M", "stride"),
        Shown("ms/step", "ms_per_step"),
        Shown("cost", "ratio_cost"),
        Shown("1 + (F−1)/M", "ratio_one_call"),
        Shown("1 + F/M", "ratio_two_calls"),
        Shown("drift meV/atom/ps", "energy_drift_meV_per_atom_per_ps", "energy_drift_meV_per_atom_per_ps_se"),
        Shown("⟨T⟩ K", "temperature_mean_K"),
    ),
    "nvt": (
        Shown("thermostat", "thermostat"),
        Shown("τ fs", "tau_fs"),
        Shown("atoms", "species"),
        Shown("⟨T⟩ K", "temperature_K", "temperature_K_se"),
        Shown("P meV/atom/ps", "power_meV_per_atom_per_ps", "power_meV_per_atom_per_ps_se"),
    ),
    "relax": (
        Shown("set", "set"),
        Shown("optimizer", "optimizer"),
        Shown("n", "n"),
        Shown("success %", "success_percent"),
        Shown("low %", "success_percent_low"),
        Shown("high %", "success_percent_high"),
        Shown("steps", "steps_median"),
    ),
    "consistency": (
        Shown(
            "∂V/∂r + f meV/Å",
            "energy_force_gap_meV_per_A",
            "energy_force_gap_meV_per_A_se",
            "energy_force_gap_floor_meV_per_A",
        ),
        Shown("rotation meV/Å", "rotation_error_meV_per_A", "", "rotation_error_floor_meV_per_A"),
        Shown("net force meV/Å", "net_force_meV_per_A"),
        Shown("jump meV", "energy_jump_meV", "", "energy_jump_floor_meV"),
        Shown("stress gap MPa", "stress_gap_MPa", "", "stress_gap_floor_MPa"),
        Shown("s", "seconds"),
    ),
    "accuracy": (
        Shown("atoms", "species"),
        Shown("MAE(V) meV/atom", "energy_mae_meV_per_atom", "energy_mae_meV_per_atom_se"),
        Shown("offset removed", "energy_mae_shifted_meV_per_atom", "energy_mae_shifted_meV_per_atom_se"),
        Shown("MAE(f) meV/Å", "force_mae_meV_per_A", "force_mae_meV_per_A_se"),
        Shown("RMSE(f) meV/Å", "force_rmse_meV_per_A", "force_rmse_meV_per_A_se"),
        Shown("n", "n_structures"),
        Shown("ms/structure", "ms_per_structure"),
    ),
    "timing": (
        Shown("path", "path"),
        Shown("ms/step", "ms_per_step"),
        Shown("low", "ms_per_step_low"),
        Shown("high", "ms_per_step_high"),
        Shown("ms/step/atom", "ms_per_step_per_atom"),
        Shown("threads", "threads"),
    ),
}


def print_rows(command: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows of a command on standard output: boxed in a terminal, plain and uncut elsewhere."""
    interactive = sys.stdout.isatty()
    console = Console(width=None if interactive else PLAIN_WIDTH, highlight=False)
    table = Table(box=box.SIMPLE_HEAD if interactive else None, pad_edge=False, title=command, title_justify="left")
    shown = [c for c in COLUMNS.get(command, ()) if not c.optional or any(row.get(c.column) for row in rows)]
    table.add_column("model", overflow="fold")
    table.add_column("structure", overflow="fold")
    for column in shown:
        table.add_column(column.heading, justify="right", overflow="fold")
    table.add_column("status", overflow="fold")
    for row in rows:
        mode = f":{row['force_mode']}" if row.get("force_mode") else ""
        status = str(row.get("status"))
        cells = [f"{row.get('model')}{mode}", str(row.get("structure") or row.get("system") or ABSENT)]
        cells += [_cell(row, column) for column in shown]
        cells.append(status if status == "ok" else f"{status}: {row.get('reason')}")
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    notes: dict[str, list[str]] = {}
    for row in rows:
        if row.get("note"):
            notes.setdefault(str(row["note"]), []).append(f"{row.get('model')} {row.get('structure')}")
    for note, where in notes.items():
        sys.stdout.write(f"note: {note} ({where[0]}{f' and {len(where) - 1} more' if len(where) > 1 else ''})\n")


def _cell(row: Mapping[str, Any], shown: Shown) -> str:
    value = row.get(shown.column)
    if value is None or isinstance(value, str):
        return value or ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    bound = row.get(shown.at_most) if shown.at_most else None
    if bound is not None and not (row.get(shown.above) if shown.above in row else value > 3 * bound):
        return f"≤ {number(max(value, bound), 1)}"
    return with_error(value, row.get(shown.error)) if shown.error else number(value)
