"""The tables of ``analyse``."""

from __future__ import annotations

from ncbench.schema import Column, TableSchema

_CURVE = (
    Column("blocks", "int", "", "blocks and replicas the error comes from"),
    Column("trajectories", "int", "", "files"),
)

SUMMARY = TableSchema(
    "analyse",
    1,
    (
        Column("species", "str", "", "all, or an element"),
        Column("temperature_K", "float", "K", "mean kinetic temperature"),
        Column("temperature_K_se", "float", "K", "its standard error by blocking, over replicas"),
        Column("drift_K_per_ps", "float", "K/ps", "slope of the kinetic temperature, mean over files"),
        Column("drift_K_per_ps_se", "float", "K/ps", "its standard error"),
        Column("diffusion_A2_per_ps", "float", "Å²/ps", "slope of the mean square displacement over six"),
        Column("diffusion_A2_per_ps_se", "float", "Å²/ps", "its standard error over blocks"),
        Column("cell_length_A", "float", "Å", "mean cube root of the volume"),
        Column("cell_length_A_se", "float", "Å", "its standard error by blocking"),
        Column("plateau", "bool", "", "the temperature's error is known; if false, it is a lower bound"),
        Column("frames", "int", "", "frames used of all files"),
        Column("interval_fs", "float", "fs", "time between frames"),
        *_CURVE[1:],
    ),
)
PAIRS = TableSchema(
    "analyse-rdf",
    1,
    (
        Column("species_i", "str", "", "element"),
        Column("species_j", "str", "", "element"),
        Column("distance_A", "float", "Å", "middle of the bin"),
        Column("ratio_g", "float", "", "g(r): density over its mean"),
        Column("ratio_g_se", "float", "", "its standard error"),
        Column("ratio_g_difference", "float", "", "minus that of the reference"),
        Column("ratio_g_difference_se", "float", "", "its standard error"),
        *_CURVE,
    ),
)
ORIENTATION = TableSchema(
    "analyse-orientation",
    1,
    (
        Column("distance_A", "float", "Å", "between oxygens, middle of the bin"),
        Column("ratio_c_uu", "float", "", "mean cosine between the dipoles' directions"),
        Column("ratio_c_uu_se", "float", "", "its standard error"),
        Column("ratio_c_uu_difference", "float", "", "minus that of the reference"),
        Column("ratio_c_uu_difference_se", "float", "", "its standard error"),
        *_CURVE,
    ),
)
SPECTRUM = TableSchema(
    "analyse-spectrum",
    1,
    (
        Column("species", "str", "", "all, or an element"),
        Column("wavenumber_per_cm", "float", "1/cm", "frequency over the speed of light"),
        Column(
            "density_K_cm", "float", "K cm", "spectrum of velocities, mass-weighted; its integral is the temperature"
        ),
        Column("density_K_cm_se", "float", "K cm", "its standard error"),
        Column("density_difference_K_cm", "float", "K cm", "minus that of the reference"),
        Column("density_difference_K_cm_se", "float", "K cm", "its standard error"),
        *_CURVE,
    ),
)
MSD = TableSchema(
    "analyse-msd",
    1,
    (
        Column("species", "str", "", "element"),
        Column("time_fs", "float", "fs", "lag"),
        Column("displacement_A2", "float", "Å²", "mean square displacement"),
        Column("displacement_A2_se", "float", "Å²", "its standard error"),
        *_CURVE,
    ),
)
SCHEMAS = {"": SUMMARY, "rdf": PAIRS, "orientation": ORIENTATION, "spectrum": SPECTRUM, "msd": MSD}
"""Side name → schema."""
