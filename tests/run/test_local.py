"""Jobs in this process: reuse, failures as rows, and requests refused before a run starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ase import Atoms

from ncbench.errors import UsageError
from ncbench.run.local import run_jobs
from ncbench.run.plan import plan_jobs
from ncbench.run.reporter import SilentReporter
from ncbench.store.store import Store
from ncbench.types import Budget, ModelRequest, SystemRequest

ARGON = SystemRequest(name="argon", structures=1)


def run(models, out, *, system=ARGON, diagnostics=("workloop",), **kwargs):
    requests = [ModelRequest(spec=m) if isinstance(m, str) else m for m in models]
    overrides = {"workloop": {"path": "planar", "loops": 1}}
    jobs = plan_jobs(diagnostics, requests, system, budget=Budget.SMOKE, overrides=overrides, **kwargs)
    return run_jobs(jobs, Store(out), SilentReporter())


def test_a_second_run_measures_nothing(tmp_path):
    first = run(["analytic-lj"], tmp_path)
    second = run(["analytic-lj"], tmp_path)
    assert (first.n_run, first.n_reused) == (1, 0)
    assert (second.n_run, second.n_reused) == (0, 1)
    assert second.rows == first.rows
    other = run(["analytic-lj"], tmp_path, seeds=[1])
    assert other.n_run == 1
    assert len(Store(tmp_path).read("workloop")) == 2


def test_a_crash_of_the_model_is_a_row_with_its_traceback_kept(tmp_path, monkeypatch):
    package = tmp_path / "crashing_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model.py").write_text(
        "from ase.calculators.calculator import Calculator\n"
        "class Crashing(Calculator):\n"
        "    implemented_properties = ['energy', 'forces']\n"
        "    def calculate(self, *args, **kwargs):\n"
        "        raise RuntimeError('the kernel fell over')\n"
        "def factory():\n    return Crashing()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    summary = run(["crashing_package.model:factory", "analytic-lj"], tmp_path / "out")
    failed, good = summary.rows["workloop"]
    assert failed["status"] == "failed"
    assert "the kernel fell over" in failed["reason"]
    assert failed["work_meV"] is None
    assert good["status"] == "ok"
    assert summary.failed
    (log,) = (tmp_path / "out").glob("jobs/*/error.log")
    assert "Traceback" in log.read_text()
    again = run(["crashing_package.model:factory", "analytic-lj"], tmp_path / "out")
    assert (again.n_run, again.n_reused) == (1, 1)
    assert len(Store(tmp_path / "out").read("workloop")) == 2


def test_an_unsupported_element_gives_a_row(tmp_path):
    pytest.importorskip("sevenn")
    file = tmp_path / "og.xyz"
    Atoms("Og2", positions=[[0, 0, 0], [0, 0, 4]]).write(file)
    summary = run(["sevennet-0"], tmp_path / "out", system=SystemRequest(path=str(file)))
    (row,) = summary.rows["workloop"]
    assert row["status"] == "unsupported"
    assert "does not know Og" in row["reason"]
    assert summary.failed


@pytest.mark.parametrize(
    ("models", "system"),
    [
        (["analytic-lj", "analytic-lk"], ARGON),
        (["analytic-lj"], SystemRequest(name="argn")),
        ([ModelRequest(spec="analytic-lj", device="gpu9")], ARGON),
    ],
)
def test_a_wrong_request_stops_before_anything_runs(models, system, tmp_path):
    with pytest.raises(UsageError):
        run(models, tmp_path, system=system)
    assert not list(tmp_path.glob("jobs/*/result.parquet"))


def test_provenance_records_how_a_row_was_computed(tmp_path):
    run(["analytic-lj"], tmp_path)
    (path,) = tmp_path.glob("jobs/*/provenance.json")
    record = json.loads(path.read_text())
    assert record["model_card"]["name"] == "analytic-lj"
    assert record["model_card"]["dtype"] == "float64"
    assert record["settings"]["loops"] == 1
    assert record["seed"] == 0
    assert len(next(iter(record["request"]["structures"].values()))) == 64
    assert {"torch", "ase", "numpy"} <= set(record["packages"])
    text = path.read_text()
    assert str(tmp_path) not in text
    assert str(Path.home()) not in text


def test_progress_is_reported(tmp_path):
    reported: list[str] = []

    class Listening(SilentReporter):
        def begin(self, job, number, of):
            reported.append(f"begin {number}/{of}")

        def start(self, total, unit):
            reported.append(f"start {unit}")

        def end(self, job, rows, *, reused):
            reported.append(f"end {len(rows)} {reused}")

    jobs = plan_jobs(["workloop"], [ModelRequest(spec="analytic-lj")], ARGON, budget=Budget.SMOKE)
    run_jobs(jobs, Store(tmp_path), Listening())
    assert reported[0] == "begin 1/1"
    assert "start paths" in reported
    assert reported[-1].startswith("end ")


@pytest.mark.slow
@pytest.mark.models("sevenn", "metatomic")
def test_metatomic_models_load_after_the_sevennet_calculator(tmp_path: Path) -> None:
    # In a separate process: the calculator's imports must come before the other model's.
    pytest.importorskip("sevenn")
    pytest.importorskip("metatomic.torch")
    command = [sys.executable, "-m", "ncbench", "timing", "--model", "sevennet-0", "--model", "pet-m:direct"]
    command += ["--system", "water-molecule", "--budget", "smoke", "--threads", "1", "--out", str(tmp_path), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
