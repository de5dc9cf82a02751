"""A hundred thousand jobs are planned and inspected within seconds."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ncbench.diagnostics import evaluate
from ncbench.run.plan import load_suite
from ncbench.run.status import JobState, counted, of_folder
from ncbench.store.index import Entry
from ncbench.store.store import Store
from ncbench.store.view import View

COUNT = 100_000
RUN = "[[run]]\ndiagnostics = ['evaluate', 'nve-drift']\nmodels = {models}\nsystem = 'argon'\nseeds = {seeds}\n"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """50 model files, 1,000 seeds, two diagnostics."""
    path = tmp_path / "suite.toml"
    path.write_text(RUN.format(models=[f"./model-{number}.pt" for number in range(50)], seeds=list(range(1000))))
    return path


def test_a_suite_of_a_hundred_thousand_cells_is_planned_in_seconds(suite: Path) -> None:
    began = time.process_time()
    jobs = load_suite(suite)
    # Processor time, so that a busy machine does not fail it: about a second is used.
    assert time.process_time() - began < 5.0
    assert len(jobs) == len({(job.diagnostic, job.model.spec, job.seed) for job in jobs}) == COUNT


def test_a_suite_of_fifty_thousand_model_files_is_planned_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(RUN.format(models=[f"./model-{number}.pt" for number in range(COUNT // 2)], seeds=[0]))
    began = time.process_time()
    assert len(load_suite(path)) == COUNT
    assert time.process_time() - began < 5.0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the most memory a process has had")
def test_plan_of_a_large_suite_takes_little_memory(suite: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ncbench.run.plan import load_suite; jobs = load_suite(Path(sys.argv[1]))\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(suite)], capture_output=True, text=True, check=True)
    # In kB, torch included, which takes most of it.
    assert int(done.stdout) * 1024 < 500e6


@pytest.mark.slow
def test_a_folder_of_a_hundred_thousand_finished_jobs_is_inspected_in_seconds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    entries = []
    for number in range(COUNT):
        entry = Entry(key=f"{number:020x}", diagnostic="evaluate", version=evaluate.DIAGNOSTIC.version, finished=True)
        folder = store.folder(entry.key)
        folder.mkdir()
        (folder / "result.parquet").touch()
        entries.append(entry)
    store._index.refresh()
    store._index.append(entries)
    began = time.process_time()
    result = of_folder(View(tmp_path))
    assert time.process_time() - began < 5.0
    assert counted(result) == {"evaluate": {str(JobState.FINISHED): COUNT}}
