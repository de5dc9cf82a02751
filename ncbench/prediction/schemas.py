"""Tables of the predicted heating."""

from __future__ import annotations

from ncbench.schema import Column, TableSchema

EQUILIBRATION_FS = 200.0
"""Length of the equilibration before a conservative run, fs."""

SCHEMA = TableSchema(
    "predict",
    1,
    (
        Column("thermostat", "str", "", "langevin (white noise), gle, or none (constant energy)"),
        Column("tau_fs", "float", "fs", "time constant of white noise"),
        Column("duration_fs", "float", "fs", "without a thermostat: time over which the power is averaged"),
        Column("species", "str", "", "all, or an element"),
        Column("stable", "bool", "", "the harmonic motion is bounded; false is a runaway, without a stationary state"),
        Column("temperature_K", "float", "K", "predicted kinetic temperature of these atoms"),
        Column("temperature_excess_K", "float", "K", "predicted minus target temperature"),
        Column("excess_low_K", "float", "K", "least excess over frequency floors and treatments of imaginary modes"),
        Column("excess_high_K", "float", "K", "largest of these; absent where one of them is a runaway"),
        Column("target_K", "float", "K", "temperature of the thermostat, or of the start"),
        Column("power_meV_per_atom_per_ps", "float", "meV/atom/ps", "predicted heating of the whole system"),
        Column(
            "power_low_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "least over floors and treatments; of the power to second order where the modes are not computed",
        ),
        Column("power_high_meV_per_atom_per_ps", "float", "meV/atom/ps", "largest of these; absent for a runaway"),
        Column(
            "power_floor_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "power that the numerical error of the Jacobian reads for conservative forces",
        ),
        Column("above_floor", "bool", "", "the power exceeds three times its floor"),
        Column(
            "golden_rule_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "the power to second order: under white noise with a line width 1/τ, at constant energy in a window of the time",
        ),
        Column(
            "golden_rule_meV_per_atom_per_ps_se",
            "float",
            "meV/atom/ps",
            "its standard error where it comes from moments: of the random vectors and of the series; absent where it is exact",
        ),
        Column(
            "spread_excess_K",
            "float",
            "K",
            "excess of all atoms from the power to second order, if the heat spreads over all vibrations at once; absent for a runaway",
        ),
        Column(
            "spread_power_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "without a thermostat: mean power over the time from that to second order, if the heat spreads over all vibrations at once",
        ),
        Column(
            "critical_tau_fs",
            "float",
            "fs",
            "τ_c of T/T₀ = 1/(1 − τ/τ_c) from the power at this τ: white noise slower than that cannot hold the temperature",
        ),
        Column(
            "harmonic_limit_fs",
            "float",
            "fs",
            "1/γ_c: longest τ of white noise at which the harmonic motion is bounded",
        ),
        Column("growth_per_ps", "float", "1/ps", "fastest growth of a fluctuation; positive for a runaway"),
        Column("frequency_floor_per_cm", "float", "1/cm", "least frequency of a mode"),
        Column("imaginary_modes", "int", "", "modes with ω² < 0, taken as √|ω²|"),
        Column("floored_modes", "int", "", "modes raised to the floor"),
        Column("quenched_by", "str", "", "model whose forces led to the minimum"),
        Column("quench_steps", "int", "", "steps of the quench"),
        Column("quench_fmax_eV_per_A", "float", "eV/Å", "largest force at its end"),
        Column("method", "str", "", "Jacobian: exact, coloured or finite-difference"),
        Column(
            "modes",
            "str",
            "",
            "all vibrations were computed, or moments of their coupling, which give the power to second order alone",
        ),
        Column("reach_A", "float", "Å", "with moments: distance at which the Jacobian was truncated"),
        Column("polynomials", "int", "", "Chebyshev polynomials of the moments"),
        Column("vectors", "int", "", "random vectors of the moments"),
        Column("note", "str", "", "caveats of the quench"),
        Column("jacobian_seconds", "float", "s", "wall time of quench and Jacobian"),
        Column("seconds", "float", "s", "wall time of everything else"),
    ),
)

SENSITIVITY = TableSchema(
    "predict-sensitivity",
    1,
    (
        Column("frequency_floor_per_cm", "float", "1/cm", "least frequency of a mode"),
        Column("imaginary", "str", "", "absolute: √|ω²| of an imaginary mode, then the floor; floor: the floor"),
        Column("thermostat", "str", "", "langevin, gle or none"),
        Column("tau_fs", "float", "fs", "time constant of white noise"),
        Column("duration_fs", "float", "fs", "without a thermostat: time over which the power is averaged"),
        Column("stable", "bool", "", "the harmonic motion is bounded"),
        Column("temperature_excess_K", "float", "K", "of all atoms"),
        Column("power_meV_per_atom_per_ps", "float", "meV/atom/ps", "heating"),
        Column("harmonic_limit_fs", "float", "fs", "1/γ_c"),
    ),
)

MAP = TableSchema(
    "predict-map",
    1,
    (
        Column("omega_from_per_cm", "float", "1/cm", "first frequency, lower edge of the bin"),
        Column("omega_to_per_cm", "float", "1/cm", "upper edge"),
        Column("omega2_from_per_cm", "float", "1/cm", "second frequency, lower edge, not above the first"),
        Column("omega2_to_per_cm", "float", "1/cm", "upper edge"),
        Column("tau_fs", "float", "fs", "1/Γ, Γ the width of the resonance"),
        Column("fraction_of_power", "float", "", "share of the golden-rule power from pairs of modes in these bins"),
        Column("power_meV_per_atom_per_ps", "float", "meV/atom/ps", "their power"),
        Column("fraction_of_antisymmetry", "float", "", "their share of ‖a‖², which does not weight by resonance"),
    ),
)

GREEN_KUBO = TableSchema(
    "predict-green-kubo",
    1,
    (
        Column("source", "str", "", "run, or the name of the trajectory"),
        Column("moved_by", "str", "", "model whose conservative forces moved the atoms"),
        Column("duration_fs", "float", "fs", "length of the run"),
        Column("temperature_K", "float", "K", "mean kinetic temperature along it"),
        Column("spacing_fs", "float", "fs", "time between samples of the work rate"),
        Column(
            "power_meV_per_atom_per_ps", "float", "meV/atom/ps", "growth of Var∫w dt over 2 k_B T: the heating power"
        ),
        Column(
            "power_meV_per_atom_per_ps_se",
            "float",
            "meV/atom/ps",
            "standard error: of the mean over starts of the windows, and at least that of a diffusive path",
        ),
        Column("fit_from_fs", "float", "fs", "shorter of the two windows whose difference is the growth"),
        Column("fit_to_fs", "float", "fs", "longest window"),
        Column(
            "transient_meV", "float", "meV", "rms of the potential that the gradient part of the difference would have"
        ),
    ),
)

WINDOWS = TableSchema(
    "predict-windows",
    1,
    (
        Column("source", "str", "", "run, or the name of the trajectory"),
        Column("window_fs", "float", "fs", "length t of the window"),
        Column(
            "power_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "⟨W²⟩/(2 k_B T t) of the work W in windows of this length, the bounded work of a gradient included",
        ),
        Column("power_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "standard error of a diffusive path"),
        Column(
            "harmonic_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "the same of undamped harmonic modes, from the Jacobian, at the run's temperature",
        ),
    ),
)

SUMMARY = TableSchema(
    "predict-summary",
    1,
    (
        Column("thermostat", "str", "", "langevin, gle or none"),
        Column("tau_fs", "float", "fs", "time constant of white noise"),
        Column("duration_fs", "float", "fs", "without a thermostat: time over which the power is averaged"),
        Column("species", "str", "", "all, or an element"),
        Column("n_structures", "int", "", "structures with a stationary state"),
        Column("n_runaway", "int", "", "structures without"),
        Column("temperature_excess_K", "float", "K", "mean over structures"),
        Column("temperature_excess_K_se", "float", "K", "its standard error, from the scatter"),
        Column("power_meV_per_atom_per_ps", "float", "meV/atom/ps", "mean over structures"),
        Column("power_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
    ),
)
