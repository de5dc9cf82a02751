"""The tables of ``lambda``."""

from __future__ import annotations

from ncbench.schema import Column, TableSchema

_PAIR_COLUMNS = (
    Column("jacobian_norm_eV_per_A2", "float", "eV/Å²", "((‖J_ij‖² + ‖J_ji‖²)/2)^½"),
    Column("antisymmetric_norm_eV_per_A2", "float", "eV/Å²", "‖(J_ij − J_jiᵀ)/2‖"),
)

SCHEMA = TableSchema(
    "lambda",
    3,
    (
        Column("method", "str", "", "exact, coloured, stochastic or finite-difference"),
        Column("lambda", "float", "", "‖A‖/‖J‖ of this one structure; 0 conservative, 1 without conservative part"),
        Column(
            "lambda_se",
            "float",
            "",
            "standard error of this structure's λ: over probes (stochastic); rounding, and truncation of differences, "
            "otherwise; never the spread over structures",
        ),
        Column(
            "lambda_low", "float", "", "lower end of the 95 % interval of this structure's λ, asymmetric over probes"
        ),
        Column("lambda_high", "float", "", "upper end of it"),
        Column("lambda_floor", "float", "", "λ measured for exactly conservative forces in this arithmetic"),
        Column(
            "floor_from",
            "str",
            "",
            "rounding (and truncation): of this model itself; a model: λ of that conservative mode of it",
        ),
        Column(
            "resolved",
            "str",
            "",
            "nonzero: above the floor by three standard errors; gradient: upper end of the interval below three floors and 4e-4; "
            "unresolved: neither",
        ),
        Column("above_floor", "bool", "", "resolved is nonzero"),
        Column("lambda_on_site", "float", "", "λ over the blocks of an atom with itself"),
        Column(
            "lambda_stress",
            "float",
            "",
            "the same of the mixed block of forces against strain, stresses against positions",
        ),
        Column("lambda_stress_se", "float", "", "its standard error"),
        Column("lambda_stress_floor", "float", "", "value expected from rounding and truncation alone"),
        Column("jacobian_norm_eV_per_A2", "float", "eV/Å²", "‖J‖_F"),
        Column("step_A", "float", "Å", "finite-difference step"),
        Column("scan_verdict", "str", "", "verdict on λ as a function of the step, if it was scanned"),
        Column("reach_A", "float", "Å", "distance beyond which blocks are left out (coloured)"),
        Column("colours", "int", "", "colours of atoms, three products each (coloured)"),
        Column("probes", "int", "", "random probes drawn"),
        Column("force_calls", "int", "", "force evaluations of single structures"),
        Column("products", "int", "", "Jacobian products of single structures"),
        Column(
            "autograd_deviation",
            "float",
            "",
            "‖Jv − d‖/‖d‖: Jacobian products against differences d of the forces along random vectors v",
        ),
        Column(
            "autograd_deviation_se",
            "float",
            "",
            "error of d itself, from two steps; empty where the first step agreed and a second would cost over a tenth",
        ),
        Column(
            "product_cost",
            "float",
            "",
            "time of a Jacobian product over that of a force call, where it made auto take differences",
        ),
        Column("net_force_removed", "bool", "", "mean force subtracted before differentiating"),
        Column("note", "str", "", "what was not possible as declared or requested, and what was done instead"),
        Column("seconds", "float", "s", "wall time of the case"),
    ),
)

DISPLACED = TableSchema(
    "lambda-displaced",
    1,
    tuple(
        column
        for column in SCHEMA.columns
        if column.name
        in (
            "lambda",
            "lambda_se",
            "lambda_low",
            "lambda_high",
            "lambda_floor",
            "resolved",
            "above_floor",
            "jacobian_norm_eV_per_A2",
            "step_A",
            "force_calls",
        )
    ),
)
"""λ from files of displaced structures with forces."""

PAIRS = TableSchema(
    "lambda-pairs",
    1,
    (
        Column("atom_i", "int", "", "first atom; i = j is the on-site block"),
        Column("atom_j", "int", "", "second atom, j ≥ i"),
        Column("species_i", "str", "", "element of atom i"),
        Column("species_j", "str", "", "element of atom j"),
        Column("distance_A", "float", "Å", "minimum-image distance"),
        *_PAIR_COLUMNS,
        Column("lambda_ij", "float", "", "their ratio"),
    ),
)

ATOMS = TableSchema(
    "lambda-atoms",
    1,
    (
        Column("atom_i", "int", "", "the atom"),
        Column("species_i", "str", "", "its element"),
        Column("jacobian_norm_eV_per_A2", "float", "eV/Å²", "norm of all blocks of the atom"),
        Column("antisymmetric_norm_eV_per_A2", "float", "eV/Å²", "norm of the antisymmetric part of these blocks"),
        Column("lambda_i", "float", "", "their ratio"),
        Column("on_site_antisymmetric_norm_eV_per_A2", "float", "eV/Å²", "‖(J_ii − J_iiᵀ)/2‖: the local curl"),
        Column("lambda_on_site", "float", "", "the local curl divided by ‖J_ii‖"),
    ),
)

SPECIES = TableSchema(
    "lambda-species",
    1,
    (
        Column("species_i", "str", "", "element"),
        Column("species_j", "str", "", "element, in alphabetical order after the first"),
        Column("on_site", "bool", "", "blocks of an atom with itself; else of two atoms"),
        Column("n_pairs", "int", "", "blocks"),
        Column("jacobian_norm_eV_per_A2", "float", "eV/Å²", "root of the sum of ‖J_ij‖² over them"),
        Column("antisymmetric_norm_eV_per_A2", "float", "eV/Å²", "the same of A_ij"),
        Column("lambda_pairs", "float", "", "their ratio"),
        Column("fraction_of_antisymmetry", "float", "", "share of these blocks in ‖A‖²"),
    ),
)

MODES = TableSchema(
    "lambda-modes",
    1,
    (
        Column("kind", "str", "", "softest or stiffest of the modes of −(J + Jᵀ)/2, rigid translations left out"),
        Column("rank", "int", "", "1 is the softest, or the stiffest"),
        Column("stiffness_eV_per_A2", "float", "eV/Å²", "its eigenvalue; negative where the structure is unstable"),
        Column("lambda_mode", "float", "", "‖A u‖/‖J u‖ for the mode u"),
        Column("fraction_of_antisymmetry", "float", "", "‖A u‖²/‖A‖²"),
    ),
)

STEP_SCAN = TableSchema(
    "lambda-step-scan",
    1,
    (
        Column("step_A", "float", "Å", "finite-difference step"),
        Column("lambda", "float", "", "λ at this step, from the same pairs of probes at all steps"),
        Column("lambda_noise", "float", "", "λ expected for conservative forces from the error at this step"),
        Column("change_percent", "float", "%", "relative change of Jv to the next step"),
        Column("verdict", "str", "", "plateau, noise-dominated, or no plateau: the forces jump"),
    ),
)

SUMMARY = TableSchema(
    "lambda-summary",
    2,
    (
        Column("n_structures", "int", "", "structures with a λ"),
        Column("n_above_floor", "int", "", "those whose λ is resolved as nonzero"),
        Column("n_gradient", "int", "", "those resolved as a gradient; the others are unresolved"),
        Column("lambda", "float", "", "mean over structures"),
        Column(
            "lambda_sd",
            "float",
            "",
            "spread from structure to structure, standard deviation without the structures' own errors",
        ),
        Column(
            "lambda_se",
            "float",
            "",
            "standard error of the mean, by bootstrap over structures; includes the error of each structure",
        ),
        Column("lambda_low", "float", "", "lower end of the 95 % interval of the mean"),
        Column("lambda_high", "float", "", "upper end of it"),
        Column("lambda_least", "float", "", "smallest of the structures"),
        Column("lambda_most", "float", "", "largest"),
    ),
)

SIDE = {
    "pairs": PAIRS,
    "atoms": ATOMS,
    "species": SPECIES,
    "modes": MODES,
    "step-scan": STEP_SCAN,
    "summary": SUMMARY,
}
"""The side tables by name."""
