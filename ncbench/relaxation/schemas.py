"""Schemas of the tables of relaxations. Imports nothing heavy."""

from __future__ import annotations

from ncbench.schema import Column, TableSchema

SCHEMA = TableSchema(
    "relax",
    1,
    (
        Column("set", "str", "", "the structures relaxed: a named system or a file"),
        Column("optimizer", "str", "", "lbfgs or fire, as in ASE"),
        Column("n", "int", "", "relaxations"),
        Column("n_success", "int", "", "of these, with the largest force below fmax within max_steps"),
        Column("success_percent", "float", "%", "100 n_success / n"),
        Column("success_percent_low", "float", "%", "lower end of the 95 % Wilson interval"),
        Column("success_percent_high", "float", "%", "upper end of it"),
        Column("steps_median", "float", "steps", "median over the successes; absent without any"),
        Column("fmax_eV_per_A", "float", "eV/Å", "the criterion: largest force on an atom"),
        Column("max_steps", "int", "steps", "steps after which a relaxation has failed; 1000 in the paper"),
        Column("displacement_A", "float", "Å", "Gaussian displacement of every coordinate at the start"),
        Column("n_not_converged", "int", "", "failures: force above fmax after max_steps"),
        Column("n_exploded", "int", "", "failures: forces not finite, or an atom over 50 Å from its start"),
        Column("n_fragmented", "int", "", "successes that ended in more pieces than the undisplaced molecule has"),
        Column("n_redrawn", "int", "", "displaced starts drawn again because two nuclei were within 0.25 Å"),
        Column("n_unsupported", "int", "", "structures left out: they hold elements the model does not know"),
        Column(
            "fmax_end_median_eV_per_A", "float", "eV/Å", "median over all relaxations of the largest force at the end"
        ),
        Column("force_calls", "int", "", "force evaluations of single structures"),
        Column("seconds", "float", "s", "wall time"),
    ),
)

RUNS = TableSchema(
    "relax-runs",
    1,
    (
        Column("set", "str", "", "the structures relaxed"),
        Column("optimizer", "str", "", "lbfgs or fire"),
        Column("start", "int", "", "number of the relaxation; both optimisers have the same start under it"),
        Column("ending", "str", "", "converged, not-converged or exploded"),
        Column("converged", "bool", "", "a success"),
        Column("steps", "int", "steps", "steps taken"),
        Column("fmax_end_eV_per_A", "float", "eV/Å", "largest force at the end"),
        Column("energy_eV", "float", "eV", "energy at the end"),
        Column("fragmented", "bool", "", "more pieces than the undisplaced molecule; absent for periodic structures"),
        Column("redrawn", "int", "", "displaced starts drawn again"),
        Column("force_calls", "int", "", "force evaluations"),
        Column("seconds", "float", "s", "its share of the wall time of the rounds it was in"),
    ),
)

TRACE = TableSchema(
    "relax-trace",
    2,
    (
        Column("set", "str", "", "the structures relaxed"),
        Column("optimizer", "str", "", "lbfgs or fire"),
        Column("start", "int", "", "number of the relaxation"),
        Column("step", "int", "steps", "step; 0 is the start"),
        Column("force_max_eV_per_A", "float", "eV/Å", "largest force on an atom"),
        Column("force_rms_eV_per_A", "float", "eV/Å", "root mean square over atoms of the norm of the force"),
        Column("energy_eV", "float", "eV", "energy; absent for a model without one"),
    ),
)

PATH = TableSchema(
    "relax-path",
    1,
    (
        Column("set", "str", "", "the structures relaxed"),
        Column("optimizer", "str", "", "lbfgs or fire"),
        Column("start", "int", "", "number of the relaxation"),
        Column("step", "int", "steps", "step; 0 is the start"),
        Column("distance_A", "float", "Å", "root mean square over atoms of the distance from the start"),
        Column("soap", "str", "", "averaged SOAP power spectrum, numbers apart by blanks; absent without featomic"),
        Column("file", "str", "", "extended XYZ of the configurations, below the results folder"),
    ),
)
