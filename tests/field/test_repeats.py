"""What is given twice counts once or is refused: files, frames, models of a suite; and names that break tables."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import write
from habits import pair_potential

import ncbench
from ncbench.check.baseline import Baseline
from ncbench.check.outputs import CheckResult, as_json, junit, markdown
from ncbench.diagnostics import registry
from ncbench.errors import StructureWarning, UsageError
from ncbench.jacobian.displaced import displaced_row
from ncbench.observables.trajectory import read_trajectory
from ncbench.report.summary import summarise
from ncbench.run.local import run_jobs
from ncbench.run.plan import load_suite
from ncbench.run.reporter import SilentReporter
from ncbench.store.store import Store
from ncbench.types import Job, ModelRequest, SystemRequest


def trajectory(path, seed: int = 0):
    generator = np.random.default_rng(seed)
    frames = []
    for number in range(6):
        atoms = Atoms("Ar4", positions=generator.normal(scale=3.0, size=(4, 3)), cell=[12.0] * 3, pbc=True)
        atoms.info["time_fs"] = float(number)
        frames.append(atoms)
    write(path, frames)
    return path


@pytest.mark.parametrize("copy", [False, True], ids=["the same path", "a copy"])
def test_a_trajectory_given_twice_is_refused(tmp_path, copy) -> None:
    first = second = trajectory(tmp_path / "a.xyz")
    if copy:
        second = tmp_path / "b.xyz"
        shutil.copy(first, second)
    with pytest.raises(UsageError, match="would count as two independent runs"):
        ncbench.analyse([first, second], observables=["rdf"])
    assert ncbench.analyse([first, trajectory(tmp_path / "c.xyz", seed=1)], observables=["rdf"]).rows


def test_a_frame_that_repeats_the_one_before_is_named(tmp_path) -> None:
    frames = [Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 3.8 + 0.01 * number]]) for number in range(4)]
    write(tmp_path / "whole.xyz", frames)
    write(tmp_path / "continued.xyz", [*frames[:3], frames[2], frames[3]])
    read_trajectory(tmp_path / "whole.xyz", interval_fs=1.0)
    with pytest.warns(StructureWarning, match="1 frame .* frame 3 is the first"):
        read_trajectory(tmp_path / "continued.xyz", interval_fs=1.0)


def displaced(path, change=lambda frames: frames):
    atoms = molecule("H2O")
    frames = []
    for dof in range(9):
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions.flat[dof] += sign * 0.01
            moved.info |= {"dof": dof, "sign": sign}
            moved.set_array("forces", pair_potential(moved)[1])
            frames.append(moved)
    write(path, change(frames), format="extxyz")
    return path


def other_element(frames):
    frames[3].numbers[0] = 16
    return frames


def another_structure(frames):
    frames[4].positions[2, 1] += 0.3
    return frames


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda frames: [*frames, frames[0]], "two frames with dof=0 and sign=1"),
        (other_element, "frames of other elements"),
        (another_structure, "not displaced along it alone"),
    ],
    ids=["a frame twice", "another element", "another structure"],
)
def test_displaced_frames_of_other_structures_are_refused(tmp_path, change, sentence) -> None:
    assert displaced_row(displaced(tmp_path / "good.xyz"))["status"] == "ok"
    with pytest.raises(UsageError, match=sentence):
        displaced_row(displaced(tmp_path / "bad.xyz", change))


def test_a_model_twice_in_a_suite_is_one_job(tmp_path) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(
        '[suite]\nname = "s"\nbudget = "smoke"\n'
        '[[run]]\ndiagnostics = ["evaluate"]\nmodels = ["analytic-lj", "analytic-lj"]\nsystem = "argon"\nseeds = [0, 0]\n'
        '[[run]]\ndiagnostics = ["evaluate", "lambda"]\nmodels = ["analytic-lj"]\nsystem = "argon"\n'
    )
    assert [job.diagnostic for job in load_suite(file)] == ["evaluate", "lambda"]


def test_an_argument_that_a_function_lacks_is_named() -> None:
    with pytest.raises(UsageError, match="predict_heating has no argument 'mode'"):
        ncbench.predict_heating("analytic-lj", Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 3.8]]), mode="direct")
    with pytest.raises(UsageError, match="predict_heating: missing a required argument: 'atoms'"):
        ncbench.predict_heating("analytic-lj")


def test_a_line_break_or_a_bar_in_a_file_name_breaks_no_table(tmp_path) -> None:
    path = tmp_path / "two\nlines|bar.xyz"
    write(path, Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 3.8]]), format="extxyz")
    diagnostic = registry.get("lambda")
    job = Job(
        diagnostic="lambda",
        model=ModelRequest(spec="analytic-lj"),
        system=SystemRequest(path=str(path)),
        settings=diagnostic.settings(),
    )
    run_jobs([job], Store(tmp_path / "out"), SilentReporter())
    summarise(tmp_path / "out")
    lines = (tmp_path / "out" / "summary.md").read_text().splitlines()
    assert lines[0] == r"# Summary on two\nlines|bar.xyz"
    table = [line for line in lines if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1


def baseline(force_mode: str) -> Baseline:
    return Baseline(
        model="mycalc",
        force_mode=force_mode,
        suite="quick",
        system="s",
        seed=0,
        structures={},
        metrics={},
        conditions={},
    )


def test_a_check_without_the_baselines_declaration_says_so() -> None:
    result = CheckResult(new=baseline("unknown"), old=baseline("conservative"), findings=(), limits=(), failures=())
    sentence = "the declared force mode is conservative in the baseline and unknown now"
    assert sentence in result.remarks[0]
    assert sentence in markdown(result)
    assert sentence in as_json(result)["remarks"][0]
    assert sentence in junit(result).decode()
    assert replace(result, old=baseline("unknown")).remarks == []
