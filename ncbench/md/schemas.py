"""Schemas of the tables that several diagnostics of dynamics write. Light imports only."""

from __future__ import annotations

from ncbench.md.settings import NAMES_OF_ENGINES
from ncbench.schema import Column, TableSchema

ENGINE_COLUMN = Column("engine", "str", "", f"program that integrated: {', '.join(NAMES_OF_ENGINES)}")
"""Of the tables of dynamics."""

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

MASSES = Column("masses_u", "str", "u", "masses by element with hydrogen mass repartitioning; absent without")
"""Column of all diagnostics of dynamics with ``--hmr``."""

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

NVE_DRIFT = TableSchema(
    "nve-drift",
    7,
    (
        ENGINE_COLUMN,
        Column("integrator", "str", "", "verlet, mts (multiple time stepping) or rescaled (to constant energy)"),
        Column("stride", "int", "", "M: fast-force steps per slow-force evaluation; 1 without mts"),
        Column("timestep_fs", "float", "fs", "time step of velocity Verlet; of the fast forces with mts"),
        MASSES,
        Column("steps", "int", "", "requested number of steps of that length"),
        Column("duration_fs", "float", "fs", "length of the run"),
        Column("skip_fs", "float", "fs", "start of the fits and means"),
        Column("drift_K_per_ps", "float", "K/ps", "slope of the kinetic temperature, equilibration included"),
        Column("drift_K_per_ps_se", "float", "K/ps", "standard error, at least that of the energy drift"),
        Column("drift_K_per_s", "float", "K/s", "the same slope in the paper's unit"),
        Column("energy_drift_meV_per_atom_per_ps", "float", "meV/atom/ps", "slope of potential + kinetic energy"),
        Column("energy_drift_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("energy_drift_dof", "float", "", "degrees of freedom of that error; absent if infinite"),
        Column("drift_from_energy_K_per_ps", "float", "K/ps", "the energy's drift over n_dof k_B, by equipartition"),
        Column("drift_from_energy_K_per_ps_se", "float", "K/ps", "its standard error"),
        Column("heating_rate_per_ps", "float", "1/ps", "r = P/(3 k_B T), of energy against the time integral of 2K"),
        Column("heating_rate_per_ps_se", "float", "1/ps", "its standard error"),
        Column(
            "plateau", "bool", "", "the kind of the energy's noise is recognised; if false, errors are lower bounds"
        ),
        Column(
            "error_known_of_gradient", "bool", "", "if the forces are a gradient, the energy drift's error is known"
        ),
        Column(
            "energy_change_meV_per_atom", "float", "meV/atom", "total energy at the end minus at the start of the fit"
        ),
        Column("energy_fluctuation_share", "float", "", "rms of the detrended total over that of the kinetic energy"),
        Column("temperature_mean_K", "float", "K", "mean kinetic temperature"),
        Column("temperature_start_K", "float", "K", "mean over the first tenth of the fit"),
        Column("temperature_end_K", "float", "K", "mean over its last tenth"),
        Column("degrees_of_freedom", "int", "", "n_dof in T = 2K/(n_dof k_B)"),
        Column("power_meV_per_atom_per_ps", "float", "meV/atom/ps", "slope of the total energy minus rescaling energy"),
        Column("power_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("momenta", "str", "", "structure: read from the structure; drawn: Maxwell-Boltzmann"),
        Column("exploded_at_fs", "float", "fs", "time of the explosion"),
        Column("force_calls", "int", "", "force evaluations of the structure"),
        Column("trajectory", "str", "", "trajectory file, relative to the results folder"),
    ),
)

NVE_SPECIES = TableSchema(
    "nve-drift-species",
    1,
    (
        Column("species", "str", "", "element"),
        Column("drift_K_per_ps", "float", "K/ps", "slope of the element's kinetic temperature"),
        Column("drift_K_per_ps_se", "float", "K/ps", "its standard error"),
        Column("temperature_mean_K", "float", "K", "mean of the element's kinetic temperature"),
        Column("temperature_start_K", "float", "K", "mean over the first tenth of the fit"),
        Column("temperature_end_K", "float", "K", "mean over its last tenth"),
        Column("degrees_of_freedom", "float", "", "3N_s minus the mass share of a fixed centre of mass"),
    ),
)

NVT = TableSchema(
    "nvt",
    5,
    (
        Column("thermostat", "str", "", "langevin (WN), svr (velocity rescaling), gle, nhc (Nosé–Hoover) or andersen"),
        Column(
            "tau_fs",
            "float",
            "fs",
            "time constant: of momenta (langevin), of the kinetic energy (svr), of an atom's collisions (andersen), period over 2π (nhc); absent for gle",
        ),
        ENGINE_COLUMN,
        Column("integrator", "str", "", "verlet, or mts (multiple time stepping)"),
        Column("stride", "int", "", "M: fast-force steps per slow-force evaluation; 1 without mts"),
        Column("species", "str", "", "all, or an element"),
        Column("temperature_K", "float", "K", "mean kinetic temperature of these atoms"),
        Column("temperature_K_se", "float", "K", "standard error by blocking, with the thermostat's fluctuations"),
        Column("temperature_K_dof", "float", "", "degrees of freedom of that error; absent if infinite"),
        Column("temperature_excess_K", "float", "K", "mean minus target temperature"),
        Column("target_K", "float", "K", "the thermostat's temperature"),
        Column("blocks", "int", "", "independent blocks used for the error"),
        Column(
            "plateau",
            "bool",
            "",
            "the run holds 20 relaxation times and the error stopped growing with the block length; if false, a lower bound",
        ),
        Column("correlation_time_fs", "float", "fs", "integrated autocorrelation time of the temperature"),
        Column("degrees_of_freedom", "float", "", "n_dof of these atoms in T = 2K/(n_dof k_B)"),
        Column(
            "power_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "slope of the whole system's conserved quantity, potential + kinetic energy − heat",
        ),
        Column("power_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("power_dof", "float", "", "degrees of freedom of that error; absent if infinite"),
        Column("power_error_known", "bool", "", "if false, that error is a lower bound"),
        Column(
            "power_error_is_bound",
            "bool",
            "",
            "if true, a known error is three times that of the run, since slow soft modes may draw most of the power",
        ),
        Column(
            "excess_from_power_K",
            "float",
            "K",
            "excess of the mean temperature of all atoms that corresponds to the power; langevin, svr, andersen",
        ),
        Column("excess_from_power_K_se", "float", "K", "its standard error"),
        Column("heating_rate_per_ps", "float", "1/ps", "r = P/(3 k_B T), of energy against the time integral of 2K"),
        Column("heating_rate_per_ps_se", "float", "1/ps", "its standard error"),
        Column("timestep_fs", "float", "fs", "time step; of the fast forces with mts"),
        MASSES,
        Column("steps", "int", "", "steps averaged over"),
        Column("equilibration_fs", "float", "fs", "time under the thermostat before that"),
        Column("momenta", "str", "", "structure: read from the structure; drawn: Maxwell-Boltzmann"),
        Column("exploded_at_fs", "float", "fs", "time of the explosion"),
        Column("force_calls", "int", "", "force evaluations of the structure"),
        Column("trajectory", "str", "", "trajectory file, relative to the results folder"),
    ),
)

DESIGN_SCAN = TableSchema(
    "mts-design",
    1,
    (
        Column("stride", "int", "", "M: fast-force steps per slow-force evaluation; 1 is slow forces alone"),
        Column("timestep_fs", "float", "fs", "inner time step Δt"),
        Column("outer_fs", "float", "fs", "MΔt"),
        MASSES,
        Column("below_resonance", "bool", "", "M and all smaller ones are below the first resonance of the spectrum"),
        Column(
            "growth_bound_per_ps",
            "float",
            "1/ps",
            "largest growth rate of an amplitude by linear theory, with the rms slow part of each frequency",
        ),
        Column("scan_fs", "float", "fs", "length of the run"),
        Column("energy_drift_meV_per_atom_per_ps", "float", "meV/atom/ps", "slope of slow potential + kinetic energy"),
        Column("energy_drift_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("error_known", "bool", "", "if false, that error is a lower bound"),
        Column(
            "verdict",
            "str",
            "",
            "stable (drift below the limit by three standard errors), drifts (above it by three), explodes, or open",
        ),
        Column("ms_per_step", "float", "ms", "wall time of an inner step, median"),
        Column("ratio_cost", "float", "", "time of a step over that of fast forces alone"),
        Column("temperature_mean_K", "float", "K", "mean kinetic temperature"),
        Column("correlation_time_fs", "float", "fs", "integrated autocorrelation time τ_c of the kinetic temperature"),
        Column("correlation_known", "bool", "", "if false, the run is too short for it"),
        Column(
            "ms_per_independent_sample",
            "float",
            "ms",
            "wall time of 2τ_c, of an independent sample of the temperature; absent where τ_c is not known",
        ),
        Column("exploded_at_fs", "float", "fs", "time of the explosion"),
    ),
)
DESIGN_SPECTRUM = TableSchema(
    "mts-design-spectrum",
    1,
    (
        Column("frequency_per_cm", "float", "cm⁻¹", "frequency"),
        Column("fraction_kinetic", "float", "", "share of the kinetic energy in this frequency step"),
        Column(
            "difference_eV2_per_A2_per_u",
            "float",
            "eV²/Å²/u",
            "power of (f_slow − f_fast)/√m in this frequency step, summed over degrees of freedom",
        ),
        Column("ratio_slow", "float", "", "κ/ω²: part of the restoring force that is in f_slow − f_fast, in phase"),
        Column("ratio_slow_rms", "float", "", "its rms size, couplings between modes included"),
        Column("occupied", "bool", "", "there is a vibration: at least half the share of one degree of freedom"),
    ),
)
DESIGN = TableSchema(
    "mts-design-design",
    1,
    (
        Column("timestep_fs", "float", "fs", "Δt of the runs"),
        MASSES,
        Column("highest_per_cm", "float", "cm⁻¹", "highest frequency"),
        Column("resolution_per_cm", "float", "cm⁻¹", "frequency step of the spectrum"),
        Column("shortest_period_fs", "float", "fs", "its period"),
        Column("first_resonance_fs", "float", "fs", "half of it: MΔt of the first resonance"),
        Column("timestep_longest_fs", "float", "fs", "Δt at which velocity Verlet shifts that frequency by 0.5 %"),
        Column("timestep_recommended_fs", "float", "fs", "the same, rounded down to 0.05 fs"),
        Column("stride_recommended", "int", "", "largest M at that Δt below the first resonance, by linear theory"),
        Column("stride_below_resonance", "int", "", "the same at the Δt of the runs"),
        Column("ratio_slow_highest", "float", "", "rms κ/ω² at the highest frequency"),
        Column("stride_without_drift", "int", "", "largest M of the scan up to which no drift is resolved"),
        Column("stride_first_drift", "int", "", "smallest M of the scan that drifts or explodes"),
        Column(
            "stride_verified",
            "int",
            "",
            "largest M of the scan up to which all are stable and below the resonance; absent if none is",
        ),
        Column("limit_meV_per_atom_per_ps", "float", "meV/atom/ps", "drift that a verified M excludes, of either sign"),
    ),
)
