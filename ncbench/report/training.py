"""Tables of trained models: cost of the training and decrease of the errors (Tables 1, 3 and 6, Figures 4 and 14).

ncbench does not train models: the recipes in ``benchmarks/training`` do, with metatrain, and write these tables.
"""

from __future__ import annotations

from ncbench.schema import Column, TableSchema

TRAINING = TableSchema(
    "training",
    1,
    (
        Column("recipe", "str", "", "name of the recipe"),
        Column("scale", "str", "", "smoke, laptop or paper: sizes and lengths of the recipes"),
        Column("architecture", "str", "", "architecture of the model"),
        Column("layers", "int", "", "message-passing layers; absent where it has none"),
        Column("targets", "str", "", "quantities in the loss: V, f, or both"),
        Column("after", "str", "", "the recipe whose weights it started from; empty: from scratch"),
        Column("parameters", "int", "", "number of trained parameters"),
        Column("epochs", "int", "", "passes over the training frames"),
        Column("n_frames", "int", "", "training frames"),
        Column("batch", "int", "", "frames per optimiser step"),
        Column("seconds_per_epoch", "float", "s", "median wall time of an epoch, its validation included"),
        Column(
            "timed_frames",
            "int",
            "",
            "number of frames of a separate timing on an idle machine, scaled to all frames; absent: timed during training",
        ),
        Column("train_s", "float", "s", "wall time of all epochs"),
        Column("before_s", "float", "s", "wall time of the training whose weights it started from"),
        Column("threads", "int", "", "CPU threads; on a GPU those of the data loading"),
        Column("machine", "str", "", "name of the GPU, or of the CPU"),
        Column("trainer", "str", "", "program and version that trained it"),
    ),
)

CURVE = TableSchema(
    "training-curve",
    1,
    (
        Column("recipe", "str", "", "name of the recipe"),
        Column("after", "str", "", "the recipe whose weights it started from; empty: from scratch"),
        Column("epoch", "int", "", "counted from 1"),
        Column("train_s", "float", "s", "total wall time so far, including the training it started from"),
        Column("learning_rate", "float", "", "at the end of the epoch"),
        Column("validation_loss", "float", "", "as minimised, of the validation frames"),
        Column("energy_mae_meV_per_atom", "float", "meV/atom", "on the validation frames"),
        Column("force_mae_meV_per_A", "float", "meV/Å", "on the validation frames, forces of this force mode"),
    ),
)
