"""The tables of ``analyse`` for logs."""

from __future__ import annotations

from ncbench.schema import Column, TableSchema

SCHEMA = TableSchema(
    "analyse-logs",
    1,
    (
        Column("run", "int", "", "which run of the file, from 1"),
        Column("engine", "str", "", "program that wrote the log"),
        Column("ensemble", "str", "", "nve, thermostat (something exchanges energy), unknown or minimisation"),
        Column("exchange", "str", "", "what exchanges energy"),
        Column("timestep_fs", "float", "fs", "time step of the integrator"),
        Column("interval_fs", "float", "fs", "time between samples"),
        Column("samples", "int", "", "samples used, at equal steps"),
        Column("duration_ps", "float", "ps", "time from the first of them to the last"),
        Column("quantity", "str", "", "column of the log whose slope the power is"),
        Column("choice", "str", "", "why that column"),
        Column("conserved", "bool", "", "exact dynamics conserve it; absent if the log does not say"),
        Column("resolution_meV", "float", "meV", "distance of neighbouring values that the log can print, of all atoms"),
        Column("power_meV_per_atom_per_ps", "float", "meV/atom/ps", "slope of that quantity; absent below the printed precision"),
        Column("power_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error, with the rounding of printed digits"),
        Column("power_dof", "float", "", "degrees of freedom of that error; absent if infinite"),
        Column("power_error_known", "bool", "", "if false, the error is a lower bound"),
        Column("power_rounding_meV_per_atom_per_ps", "float", "meV/atom/ps", "bound of what the rounding of printed digits does to the slope"),
        Column("power_limit_meV_per_atom_per_ps", "float", "meV/atom/ps", "|power| is below this at 95 %"),
        Column("below_resolution", "bool", "", "the quantity never changes by more than its last printed digit"),
        Column("heating_rate_per_ps", "float", "1/ps", "r = P/(3 k_B T), of energy against the time integral of 2K"),
        Column("heating_rate_per_ps_se", "float", "1/ps", "its standard error"),
        Column("temperature_K", "float", "K", "mean kinetic temperature"),
        Column("temperature_K_se", "float", "K", "its standard error by blocking"),
        Column("temperature_known", "bool", "", "if false, the temperature's error is a lower bound"),
        Column("drift_K_per_ps", "float", "K/ps", "slope of the kinetic temperature"),
        Column("drift_K_per_ps_se", "float", "K/ps", "its standard error"),
        Column("total_drift_meV_per_atom_per_ps", "float", "meV/atom/ps", "slope of potential + kinetic energy"),
        Column("total_drift_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("energy_fluctuation_share", "float", "", "rms of the detrended quantity over that of the kinetic energy"),
        Column("freedom_dof", "float", "", "degrees of freedom per atom, 2K/(N k_B T)"),
        Column("note", "str", "", "what was unusual in the file"),
    ),
)  # fmt: skip
