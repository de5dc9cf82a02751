"""Schemas of the tables that several diagnostics of dynamics write. Light imports only."""

from __future__ import annotations

from ncbench.schema import Column, TableSchema

_SERIES_COLUMNS = (
    Column("time_fs", "float", "fs", "time from the start of the run"),
    Column("temperature_K", "float", "K", "kinetic temperature 2K/(n_dof k_B)"),
    Column("potential_eV", "float", "eV", "potential energy of the cell; absent for a model without one"),
    Column("kinetic_eV", "float", "eV", "kinetic energy"),
    Column("total_eV", "float", "eV", "potential + kinetic energy"),
)
_RUN_COLUMNS = (
    Column("thermostat", "str", "", "langevin (WN), svr, gle, nhc or andersen"),
    Column("tau_fs", "float", "fs", "time constant of the thermostat"),
)
_SPECIES_COLUMNS = (
    Column("time_fs", "float", "fs", "time from the start of the run"),
    Column("species", "str", "", "element"),
    Column("temperature_K", "float", "K", "kinetic temperature of the element's atoms"),
    Column("kinetic_eV", "float", "eV", "their kinetic energy"),
)

_STEP = Column("timestep_fs", "float", "fs", "time step of the run")
NVE_SERIES = TableSchema("nve-drift-series", 2, (*_SERIES_COLUMNS, _STEP))
NVE_SPECIES_SERIES = TableSchema("nve-drift-species-series", 2, (*_SPECIES_COLUMNS, _STEP))
NVT_SERIES = TableSchema(
    "nvt-series",
    1,
    (
        *_RUN_COLUMNS,
        *_SERIES_COLUMNS,
        Column("conserved_eV", "float", "eV", "potential + kinetic energy − heat from the thermostat"),
    ),
)
NVT_SPECIES_SERIES = TableSchema("nvt-species-series", 1, (*_RUN_COLUMNS, *_SPECIES_COLUMNS))

TIMESTEPS = TableSchema(
    "nve-drift-timesteps",
    2,
    (
        Column("n_timesteps", "int", "", "time steps in the fit; runs that exploded are left out"),
        Column("timestep_least_fs", "float", "fs", "shortest of them"),
        Column("timestep_most_fs", "float", "fs", "longest of them"),
        Column(
            "limit_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "a of drift = a + b Δt^p: drift in the limit of small time steps",
        ),
        Column("limit_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("power", "int", "", "p of the fit: 2, or 4 or 6 if 2 does not fit"),
        Column("curve_meV_per_atom_per_ps", "float", "meV/atom/ps", "b Δt^p at Δt = 1 fs"),
        Column("quadratic_meV_per_atom_per_ps_per_fs2", "float", "meV/atom/ps/fs²", "b where p = 2"),
        Column("quadratic_meV_per_atom_per_ps_per_fs2_se", "float", "meV/atom/ps/fs²", "its standard error"),
        Column(
            "ratio_order",
            "float",
            "",
            "p of |drift| ∝ Δt^p, if at least three drifts differ from zero by three standard errors",
        ),
        Column("ratio_order_se", "float", "", "its standard error"),
        Column("ratio_chi2", "float", "", "squared residuals of the fit over their degrees of freedom"),
        Column(
            "verdict", "str", "", "cause of the drift: forces, integrator, both, or none (no drift beyond its error)"
        ),
    ),
)
