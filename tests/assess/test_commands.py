"""Commands that an assessment prints run as they are pasted."""

from __future__ import annotations

import shlex
from pathlib import Path

import pandas as pd
import pytest
from ase.build import bulk

from ncbench.assess.commands import command
from ncbench.assess.evidence import Use
from ncbench.assess.means import Question
from ncbench.cli.main import main
from ncbench.options import RESULTS_FOLDER
from ncbench.types import ModelRequest, SystemRequest


def question(model: ModelRequest, system: SystemRequest | None, timestep_fs: float | None = None) -> Question:
    return Question(model=model, system=system, uses=(Use.NVE,), n_atoms=64, timestep_fs=timestep_fs)


def test_a_printed_command_runs_with_the_model_and_structures_of_the_assessment(tmp_path: Path) -> None:
    file = tmp_path / "my argon.xyz"
    bulk("Ar", "fcc", a=5.3, cubic=True).write(file)
    asked = question(
        ModelRequest(spec="analytic-lj", dtype="float64"), SystemRequest(path=str(file), repeat=(2, 1, 1)), 2.0
    )
    text = command(asked, tmp_path / "my results", "nve-drift", "--duration", "80")
    program, *words = shlex.split(text)
    assert program == "ncbench"
    with pytest.raises(SystemExit) as end:
        main([*words, "-q"])
    assert end.value.code == 0
    (row,) = pd.read_csv(tmp_path / "my results" / "nve-drift.csv").to_dict("records")
    assert (row["model"], row["n_atoms"], row["timestep_fs"], row["steps"]) == ("analytic-lj", 8, 2.0, 40)
    assert row["dtype"] == "float64"


def test_every_option_of_the_model_is_in_the_command() -> None:
    model = ModelRequest(
        spec="mace:direct",
        device="cuda:1",
        checkpoint="my weights.pt",
        trust_checkpoint=True,
        options=(("head", "a b"),),
    )
    text = command(question(model, SystemRequest(name="water64", structures=2)), Path(RESULTS_FOLDER), "nvt")
    assert text == (
        "ncbench nvt --model mace:direct --device cuda:1 --checkpoint 'my weights.pt' --trust-checkpoint -O 'head=a b' "
        "--system water64 --structures 2"
    )


def test_an_object_of_python_has_no_command() -> None:
    asked = Question(model=ModelRequest(spec="x"), system=None, uses=(Use.NVE,), n_atoms=1, named=False)
    assert command(asked, Path(RESULTS_FOLDER), "nvt") == ""
