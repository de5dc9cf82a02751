"""Schemas of the tables of relaxations. Light imports only."""

from __future__ import annotations

from ncbench.schema import Column, TableSchema

SCHEMA = TableSchema(
    "relax",
    1,
    (
        Column("set", "str", "", "name of the set of structures: a named system or a file"),
        Column("optimizer", "str", "", "lbfgs or fire, as in ASE"),
        Column("n", "int", "", "number of relaxations"),
        Column("n_success", "int", "", "relaxations whose largest force fell below fmax within max_steps"),
        Column("success_percent", "float", "%", "100 n_success / n"),
        Column("success_percent_low", "float", "%", "lower end of the 95 % Clopper-Pearson interval"),
        Column("success_percent_high", "float", "%", "upper end of the 95 % Clopper-Pearson interval"),
        Column(
            "steps_median",
            "float",
            "steps",
            "steps to convergence, median over the successes; absent without successes",
        ),
        Column("fmax_eV_per_A", "float", "eV/Å", "convergence criterion: largest norm of the force on an atom"),
        Column("max_steps", "int", "steps", "largest number of steps of a relaxation; 1000 in the paper"),
        Column(
            "displacement_A",
            "float",
            "Å",
            "standard deviation of the initial Gaussian displacement of every coordinate",
        ),
        Column("n_not_converged", "int", "", "failures: force above fmax after max_steps"),
        Column(
            "n_exploded", "int", "", "failures: forces not finite, or an atom more than 50 Å from its initial position"
        ),
        Column(
            "n_fragmented",
            "int",
            "",
            "successes that ended with more separate fragments than the undisplaced molecule has",
        ),
        Column("n_redrawn", "int", "", "initial displacements drawn again because two nuclei were within 0.25 Å"),
        Column(
            "n_unsupported", "int", "", "structures left out because the model does not support one of their elements"
        ),
        Column("fmax_end_median_eV_per_A", "float", "eV/Å", "largest force at the end, median over all relaxations"),
        Column("force_calls", "int", "", "force evaluations of single structures"),
        Column("seconds", "float", "s", "wall time"),
    ),
)

RUNS = TableSchema(
    "relax-runs",
    1,
    (
        Column("set", "str", "", "name of the set of structures"),
        Column("optimizer", "str", "", "lbfgs or fire"),
        Column(
            "start",
            "int",
            "",
            "number of the relaxation; both optimisers start from the same structure under the same number",
        ),
        Column("ending", "str", "", "converged, not-converged, exploded, or failed: the model raised an exception"),
        Column("converged", "bool", "", "the largest force fell below fmax"),
        Column("steps", "int", "steps", "number of steps"),
        Column("fmax_end_eV_per_A", "float", "eV/Å", "largest force at the end"),
        Column("energy_eV", "float", "eV", "energy at the end"),
        Column(
            "fragmented",
            "bool",
            "",
            "more separate fragments at the end than the undisplaced molecule has; absent for periodic structures",
        ),
        Column("redrawn", "int", "", "initial displacements drawn again"),
        Column("force_calls", "int", "", "force evaluations"),
        Column("seconds", "float", "s", "its share of the wall time of the batches that it was part of"),
    ),
)

TRACE = TableSchema(
    "relax-trace",
    2,
    (
        Column("set", "str", "", "name of the set of structures"),
        Column("optimizer", "str", "", "lbfgs or fire"),
        Column("start", "int", "", "number of the relaxation"),
        Column("step", "int", "steps", "step; 0 is the initial structure"),
        Column("force_max_eV_per_A", "float", "eV/Å", "largest force on an atom"),
        Column("force_rms_eV_per_A", "float", "eV/Å", "root mean square over atoms of the norm of the force"),
        Column("energy_eV", "float", "eV", "potential energy; absent for a model without one"),
    ),
)

PATH = TableSchema(
    "relax-path",
    1,
    (
        Column("set", "str", "", "name of the set of structures"),
        Column("optimizer", "str", "", "lbfgs or fire"),
        Column("start", "int", "", "number of the relaxation"),
        Column("step", "int", "steps", "step; 0 is the initial structure"),
        Column("distance_A", "float", "Å", "root mean square over atoms of the distance from the initial position"),
        Column("soap", "str", "", "averaged SOAP power spectrum, numbers separated by spaces; absent without featomic"),
        Column("file", "str", "", "extended XYZ of the configurations, below the results folder"),
    ),
)
