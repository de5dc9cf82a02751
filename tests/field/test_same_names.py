"""Two structure files of the same name are two systems in all tables, and two model files of the same name two models."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
from ase import Atoms
from ase.io import write

from ncbench.assess.assess import Assessor
from ncbench.assess.evidence import Use
from ncbench.assess.means import Clock, Means
from ncbench.assess.question import question_of
from ncbench.diagnostics import registry
from ncbench.report.read import read
from ncbench.run.local import Summary, run_jobs
from ncbench.run.reporter import SilentReporter
from ncbench.store.store import Store
from ncbench.structures.load import load_cases
from ncbench.types import Job, ModelRequest, SystemRequest


def measured(tmp_path, folders: list[str], distances: list[float]):
    store = Store(tmp_path / "out")
    jobs = []
    for folder, distance in zip(folders, distances, strict=True):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / "water.xyz"
        write(path, Atoms("Ar2", positions=[[0, 0, 0], [distance, 0, 0]]))
        system = SystemRequest(path=str(path))
        jobs.append(_job(system))
    run_jobs(jobs, store, SilentReporter())
    return read(tmp_path / "out").tables["evaluate"]


def _job(system: SystemRequest) -> Job:
    settings = registry.get("evaluate").settings()
    return Job(diagnostic="evaluate", model=ModelRequest(spec="analytic-lj"), system=system, settings=settings)


def test_files_of_equal_name_and_different_content_are_distinguished(tmp_path) -> None:
    frame = measured(tmp_path, ["a", "b"], [3.8, 4.2])
    assert frame["system"].nunique() == 2
    for system, structure in zip(frame["system"], frame["structure"], strict=True):
        assert system.startswith("water.xyz (")
        assert structure == f"{system}#0"


def test_csv_files_have_the_same_names_as_tables(tmp_path) -> None:
    frame = measured(tmp_path, ["a", "b"], [3.8, 4.2])
    csv = pd.read_csv(tmp_path / "out" / "evaluate.csv")
    columns = ["job", "system", "structure", "energy_eV"]
    assert csv["system"].nunique() == 2
    pd.testing.assert_frame_equal(csv[columns], frame[columns], check_dtype=False)
    # A second file of the name renames the rows of the first.
    alone = tmp_path / "alone"
    alone.mkdir()
    measured(alone, ["a"], [3.8])
    assert pd.read_csv(alone / "out" / "evaluate.csv")["system"].unique().tolist() == ["water.xyz"]
    measured(alone, ["b"], [4.2])
    assert set(pd.read_csv(alone / "out" / "evaluate.csv")["system"]) == set(csv["system"])


def test_copies_of_one_file_keep_one_name(tmp_path) -> None:
    frame = measured(tmp_path, ["a", "b"], [3.8, 3.8])
    assert frame["system"].unique().tolist() == ["water.xyz"]


def test_a_job_without_provenance_keeps_its_name(tmp_path) -> None:
    measured(tmp_path, ["a", "b"], [3.8, 4.2])
    for path in (tmp_path / "out" / "jobs").glob("*/provenance.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"request": None}))
    frame = read(tmp_path / "out").tables["evaluate"]
    assert frame["system"].unique().tolist() == ["water.xyz"]
    assert frame["energy_eV"].nunique() == 2


@pytest.mark.parametrize("seeds", [(0, 1)])
def test_samples_of_a_named_system_stay_one_system(tmp_path, seeds) -> None:
    store = Store(tmp_path / "out")
    run_jobs([replace(_job(SystemRequest(name="argon")), seed=seed) for seed in seeds], store, SilentReporter())
    assert read(tmp_path / "out").tables["evaluate"]["system"].unique().tolist() == ["argon"]


CALCULATOR = """
from ase.calculators.lj import LennardJones

def make():
    return LennardJones(epsilon={}, rc=8.0)
"""


def two_models(tmp_path, *depths: float) -> list[ModelRequest]:
    requests = []
    for number, depth in enumerate(depths):
        (tmp_path / f"model{number}").mkdir()
        file = tmp_path / f"model{number}" / "potential.py"
        file.write_text(CALCULATOR.format(depth))
        requests.append(ModelRequest(spec=f"{file}:make"))
    return requests


def test_models_from_files_of_equal_name_and_different_content_are_distinguished(tmp_path) -> None:
    store = Store(tmp_path / "out")
    job = _job(SystemRequest(name="argon"))
    run_jobs([replace(job, model=one) for one in two_models(tmp_path, 0.01, 0.02)], store, SilentReporter())
    frame = read(tmp_path / "out").tables["evaluate"]
    assert frame["model"].nunique() == 2
    assert all(name.startswith("potential.py:make (") for name in frame["model"])
    assert set(pd.read_csv(tmp_path / "out" / "evaluate.csv")["model"]) == set(frame["model"])


def test_models_from_copies_of_one_file_keep_one_name(tmp_path) -> None:
    store = Store(tmp_path / "out")
    job = _job(SystemRequest(name="argon"))
    run_jobs([replace(job, model=one) for one in two_models(tmp_path, 0.01, 0.01)], store, SilentReporter())
    assert read(tmp_path / "out").tables["evaluate"]["model"].unique().tolist() == ["potential.py:make"]


def test_an_assessment_takes_no_rows_of_another_model_or_structure_of_the_name(tmp_path) -> None:
    models = two_models(tmp_path, 0.01, 0.02)
    systems = []
    for folder, distance in (("a", 3.8), ("b", 4.2)):
        (tmp_path / folder).mkdir()
        systems.append(SystemRequest(path=str(tmp_path / folder / "water.xyz")))
        write(systems[-1].path, Atoms("Ar2", positions=[[0, 0, 0], [distance, 0, 0]]))
    jobs = [replace(_job(system), model=model) for model in models for system in systems]
    run_jobs(jobs, Store(tmp_path / "out"), SilentReporter())
    energies = set()
    for job in jobs:
        question = question_of(job.model, job.system, (Use.NVE,), load_cases(job.system, 1, seed=0))
        means = Means(folder=tmp_path / "out", run=lambda _: Summary(), finished=lambda _: False)
        assessor = Assessor(question, means, Clock(1.0))
        assessor.found.model, assessor.found.mode = "potential.py:make", "unknown"
        frame = assessor.results().tables["evaluate"]
        assert frame[["model", "system"]].to_numpy().tolist() == [["potential.py:make", "water.xyz"]]
        energies.add(float(frame["energy_eV"].iloc[0]))
    assert len(energies) == 4
