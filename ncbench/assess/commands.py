"""Command lines that a user can paste: with the model, the structures and the folder of an assessment."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ncbench.options import RESULTS_FOLDER
from ncbench.types import ModelRequest

if TYPE_CHECKING:
    from ncbench.assess.means import Question


def command(question: Question, folder: Path, name: str, *options: str, model: ModelRequest | None = None) -> str:
    """``ncbench NAME --model … --system … OPTIONS``, whose results are added to the folder of the assessment.

    Empty where the model is an object of Python, which has no name on a command line.

    Args:
        question: gives the model, the structures and the time step.
        folder: of the assessment.
        name: the command.
        options: its own options.
        model: another model than that of the question.
    """
    if not question.named:
        return ""
    words = ["ncbench", name, *_of_model(model or question.model), *_of_system(question)]
    if question.timestep_fs is not None:
        words += ["--timestep", f"{question.timestep_fs:g}"]
    words += options
    if folder != Path(RESULTS_FOLDER):
        words += ["--out", str(folder)]
    return shlex.join(words)


def _of_model(request: ModelRequest) -> list[str]:
    words = ["--model", request.spec]
    if request.dtype is not None:
        words += ["--dtype", request.dtype]
    if request.device != "cpu":
        words += ["--device", request.device]
    if request.checkpoint is not None:
        words += ["--checkpoint", request.checkpoint]
    if request.trust_checkpoint:
        words += ["--trust-checkpoint"]
    for key, value in request.options:
        words += ["-O", f"{key}={value}"]
    return words


def _of_system(question: Question) -> list[str]:
    system = question.system
    if system is None:
        return []
    words = ["--system", system.name] if system.name is not None else ["--structure", str(system.path)]
    if system.structures is not None:
        words += ["--structures", str(system.structures)]
    if system.repeat != (1, 1, 1):
        words += ["--repeat", ",".join(map(str, system.repeat))]
    return words
