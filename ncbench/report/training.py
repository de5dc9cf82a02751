"""Tables of trained models: what their training took and how its errors fell (Tables 1, 3 and 6, Figures 4 and 14).

ncbench trains nothing: the recipes in ``benchmarks/training`` do, with metatrain, and write these tables beside the others.
"""

from __future__ import annotations

from ncbench.schema import Column, TableSchema

TRAINING = TableSchema(
    "training",
    1,
    (
        Column("recipe", "str", "", "name of the recipe"),
        Column("scale", "str", "", "smoke, laptop or paper: sizes and lengths of the recipes"),
        Column("architecture", "str", "", "of the model"),
        Column("layers", "int", "", "message-passing layers; absent where it has none"),
        Column("targets", "str", "", "what the loss saw: V, f, or both"),
        Column("after", "str", "", "the recipe whose weights it started from; empty: from scratch"),
        Column("parameters", "int", "", "numbers that were trained"),
        Column("epochs", "int", "", "passes over the training frames"),
        Column("n_frames", "int", "", "training frames"),
        Column("batch", "int", "", "frames a step"),
        Column("seconds_per_epoch", "float", "s", "median wall time of an epoch, its validation included"),
        Column(
            "timed_frames",
            "int",
            "",
            "where times were measured apart, on an idle machine: the frames of which, scaled to all; absent: during training",
        ),
        Column("train_s", "float", "s", "wall time of all epochs"),
        Column("before_s", "float", "s", "wall time of the training whose weights it started from"),
        Column("threads", "int", "", "CPU threads; on a GPU those that fed it"),
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
        Column("train_s", "float", "s", "wall time spent so far, that of the training it started from included"),
        Column("learning_rate", "float", "", "at the end of the epoch"),
        Column("validation_loss", "float", "", "as minimised, of the validation frames"),
        Column("energy_mae_meV_per_atom", "float", "meV/atom", "on the validation frames"),
        Column("force_mae_meV_per_A", "float", "meV/Å", "on the validation frames, forces of this force mode"),
    ),
)
