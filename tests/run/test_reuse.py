"""A finished result is reused only if a new measurement would use the same versions and threads."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

import ncbench
from ncbench.run import reuse as module
from ncbench.run import versions
from ncbench.run.local import run_jobs
from ncbench.run.plan import plan_jobs
from ncbench.run.reporter import SilentReporter
from ncbench.run.reuse import Reuse, differences
from ncbench.run.versions import versions_of
from ncbench.store.checkpoint import FileCheckpoint
from ncbench.store.store import Store
from ncbench.types import Budget, ModelRequest, SystemRequest

PET_M = Path(ncbench.__file__).parent / "models" / "weights" / "pet-m.pt"
GENERAL = {"ncbench", "torch", "ase", "vesin"}
FILE = f"{PET_M}:direct"


class Listening(SilentReporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str, *, passing: bool = False) -> None:
        self.notes.append(text)


def job_of(spec: str):
    system = SystemRequest(name="water-molecule", structures=1)
    (job,) = plan_jobs(["evaluate"], [ModelRequest(spec=spec)], system, budget=Budget.SMOKE)
    return job


def run(out: Path, spec: str = FILE, reuse: Reuse = Reuse.KNOWN) -> tuple[int, list[str]]:
    """Number of jobs that were measured, and what was noted."""
    reporter = Listening()
    return run_jobs([job_of(spec)], Store(out), reporter, reuse=reuse).n_run, reporter.notes


def upgrade(monkeypatch, name: str) -> None:
    """Let a distribution have version 99."""
    real = metadata.version
    for place in (versions.metadata, module.metadata):
        monkeypatch.setattr(place, "version", lambda asked: "99" if asked == name else real(asked))


def test_recorded_versions_are_those_of_the_packages_that_run_the_model() -> None:
    installed = versions_of(job_of(FILE))
    assert installed.keys() >= GENERAL
    assert {"metatomic-torch", "metatensor-torch"} <= installed.keys()
    assert versions_of(job_of("pet-m:direct")) == installed
    assert versions_of(job_of("analytic-lj")).keys() == GENERAL
    # The folder of a test is not a distribution.
    assert versions_of(job_of("habits:Pairs")).keys() == GENERAL


@pytest.mark.parametrize("name", ["torch", "ase", "metatomic-torch"])
def test_a_file_model_is_measured_again_after_an_upgrade(tmp_path, monkeypatch, name) -> None:
    before = metadata.version(name)
    assert run(tmp_path) == (1, [])
    assert run(tmp_path) == (0, [])
    upgrade(monkeypatch, name)
    count, notes = run(tmp_path)
    assert count == 1
    (note,) = notes
    assert f"is measured again: {name} {before} → 99 (--reuse keeps what is recorded)" in note
    # The new result has the new versions.
    assert run(tmp_path) == (0, [])


def test_reuse_takes_results_of_other_versions(tmp_path, monkeypatch) -> None:
    assert run(tmp_path, "analytic-lj") == (1, [])
    upgrade(monkeypatch, "torch")
    assert run(tmp_path, "analytic-lj", Reuse.ALL) == (0, [])
    assert run(tmp_path, "analytic-lj", Reuse.KNOWN)[0] == 1


def test_a_package_that_does_not_run_the_model_changes_nothing(tmp_path, monkeypatch) -> None:
    assert run(tmp_path, "analytic-lj") == (1, [])
    for name in ("metatomic-torch", "pandas"):
        upgrade(monkeypatch, name)
        assert run(tmp_path, "analytic-lj") == (0, [])


def test_another_number_of_threads_is_measured_again(tmp_path) -> None:
    threads = torch.get_num_threads()
    assert run(tmp_path, "analytic-lj") == (1, [])
    try:
        torch.set_num_threads(threads + 1)
        count, (note,) = run(tmp_path, "analytic-lj")
    finally:
        torch.set_num_threads(threads)
    assert count == 1
    assert f"threads {threads} → {threads + 1}" in note


def provenance_of(out: Path) -> tuple[Path, dict]:
    (path,) = out.glob("jobs/*/provenance.json")
    return path, json.loads(path.read_text())


def test_results_from_before_versions_were_recorded_are_compared_by_torch_and_ase(tmp_path, monkeypatch) -> None:
    run(tmp_path, "analytic-lj")
    path, provenance = provenance_of(tmp_path)
    del provenance["versions"]
    path.write_text(json.dumps(provenance))
    assert run(tmp_path, "analytic-lj") == (0, [])
    upgrade(monkeypatch, "torch")
    assert run(tmp_path, "analytic-lj")[0] == 1


def test_unrecorded_values_are_not_compared() -> None:
    assert differences(job_of("analytic-lj"), {}, threads=3) == []
    assert differences(job_of("analytic-lj"), {"torch_state": {"threads": 2}}, threads=None) == []
    assert differences(job_of("analytic-lj"), {"torch_state": {"threads": 2}}, threads=3) == ["threads 2 → 3"]
    assert differences(job_of("analytic-lj"), {"versions": {"gone": "1"}}, threads=None) == []
    assert differences(job_of("analytic-lj"), {"versions": {"ncbench": "0"}}, threads=None) == [
        f"ncbench 0 → {ncbench.__version__}"
    ]


def test_a_result_of_two_processes_is_measured_again_where_one_is_set(monkeypatch) -> None:
    for text, found in (("auto", []), ("2", []), ("1", ["processes 2 → 1"])):
        monkeypatch.setenv("NCBENCH_PROCESSES", text)
        assert differences(job_of("analytic-lj"), {"processes": 2}, threads=None) == found
        assert differences(job_of("analytic-lj"), {"processes": 1}, threads=None) == []
        assert differences(job_of("analytic-lj"), {}, threads=None) == []


def test_versions_in_an_environment_are_those_of_its_folder(tmp_path, monkeypatch) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages" / "sevenn-1.2.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: sevenn\nVersion: 1.2\n")
    made = module.places.Made("sevennet", tmp_path, {})
    monkeypatch.setattr(module, "environment_or_here", lambda job: "sevennet")
    monkeypatch.setattr(module.places, "find", lambda spec: made)
    recorded = {"versions": {"sevenn": "1.1", "torch": "2"}}
    assert differences(job_of("analytic-lj"), recorded, None) == ["sevenn 1.1 → 1.2"]
    monkeypatch.setattr(module.places, "find", lambda spec: None)
    assert differences(job_of("analytic-lj"), recorded, None) == []


def test_a_checkpoint_of_other_versions_is_not_continued(tmp_path) -> None:
    def checkpoint(**installed: str) -> FileCheckpoint:
        made = FileCheckpoint(tmp_path / "checkpoint.bin")
        made.versions = installed
        return made

    checkpoint(torch="1").save({"x": np.arange(3)})
    assert checkpoint().load()["x"].tolist() == [0, 1, 2]
    same = checkpoint(torch="1")
    assert same.load().keys() == {"x"}
    assert same.resumed
    other = checkpoint(torch="2")
    assert other.load() is None
    assert not other.resumed
    assert not other.path.exists()
    # One from before versions were saved is continued.
    checkpoint().save({"x": np.arange(3)})
    assert checkpoint(torch="2").load() is not None
