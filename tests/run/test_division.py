"""When a job's batches are divided among processes; and real jobs whose helper or whose own process is killed."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from ase import Atoms

from ncbench.errors import UsageError
from ncbench.models import in_process
from ncbench.models.division import measured
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.run import division as module
from ncbench.run.division import Division
from ncbench.run.plan import plan_jobs
from ncbench.structures.load import load_cases
from ncbench.types import Budget, Job, ModelRequest, SystemRequest

JOB = [
    "nve-drift",
    "-m",
    "analytic-lj",
    "--system",
    "argon",
    "--replicas",
    "2",
    "--timestep",
    "1",
    "--quiet",
    "--threads",
    "2",
]


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_cores", lambda: 2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def own_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NCBENCH_CACHE_DIR", str(tmp_path / "record"))
    return tmp_path / "record" / measured.RECORD


def job_of(diagnostic: str = "nve-drift", spec: str = "analytic-lj", system: str = "argon", **settings) -> Job:
    (job,) = plan_jobs(
        [diagnostic],
        [ModelRequest(spec=spec)],
        SystemRequest(name=system, structures=1),
        budget=Budget.SMOKE,
        overrides={diagnostic: settings},
    )
    return job


def cases_of(job: Job):
    return load_cases(job.system, 1, 0)


def processes(job: Job, division: Division | None = None) -> int:
    """Processes that share the job's batches."""
    here = division or Division()
    try:
        forcefield, _ = here.divided(job, cases_of(job), load_forcefield(job.model), None)
        return forcefield.card.processes
    finally:
        if division is None:
            here.close()


@pytest.mark.usefixtures("two_threads")
def test_only_work_that_can_be_done_at_the_same_time_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCBENCH_PROCESSES", "2")
    assert processes(job_of(replicas=2)) == 2
    assert processes(job_of(replicas=1)) == 1
    assert processes(job_of(replicas=2, batch=1)) == 1
    assert processes(job_of(replicas=2, engine="ase")) == 1
    assert processes(job_of("relax", "analytic-lj", "argon", n=4, optimizer="lbfgs")) == 1
    assert processes(job_of("relax", "analytic-lj", "argon", n=4)) == 2
    assert processes(job_of("relax", "analytic-lj", "argon", n=4, displacement_A=0.1)) == 2
    assert processes(job_of("lambda")) == 2
    assert processes(job_of("timing")) == 1
    assert processes(job_of("mts", "pet-m", "water8")) == 1


@pytest.mark.usefixtures("two_threads")
def test_a_forced_number_of_processes_is_at_most_that_of_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(replicas=8)
    monkeypatch.setenv("NCBENCH_PROCESSES", "5")
    assert processes(job) == 2
    monkeypatch.setenv("NCBENCH_PROCESSES", "1")
    assert processes(job) == 1
    monkeypatch.setenv("NCBENCH_PROCESSES", "2")
    torch.set_num_threads(1)
    assert processes(job) == 1


@pytest.mark.parametrize("text", ["two", "0", "-1", "1.5"])
def test_another_value_of_the_variable_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCBENCH_PROCESSES", text)
    with pytest.raises(UsageError, match="is not a number of processes"):
        processes(job_of(replicas=2))


@pytest.mark.usefixtures("two_threads")
def test_models_of_the_users_own_code_are_divided_only_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_record: Path
) -> None:
    file = tmp_path / "model.py"
    file.write_text("from ase.calculators.lj import LennardJones\ndef make():\n    return LennardJones()\n")
    job = job_of(spec=f"{file}:make", replicas=2, duration_fs=1.0e6)
    monkeypatch.setenv("NCBENCH_PROCESSES", "auto")
    assert processes(job) == 1
    assert not own_record.exists()
    monkeypatch.setenv("NCBENCH_PROCESSES", "2")
    assert processes(job) == 2
    with in_process.named(load_forcefield(ModelRequest(spec="analytic-lj"))) as text:
        assert processes(job_of(spec=text, replicas=2)) == 1


class Clocks:
    """Stands for the two measurements, which scatter."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, one_s: float, faster: float) -> None:
        self.counts = {"one": 0, "faster": 0}

        def seconds_of_one(*_: object) -> float:
            self.counts["one"] += 1
            return one_s

        def times_faster(*_: object) -> float:
            self.counts["faster"] += 1
            return faster

        monkeypatch.setattr(measured, "seconds_of_one", seconds_of_one)
        monkeypatch.setattr(measured, "times_faster", times_faster)


@pytest.mark.usefixtures("two_threads")
def test_a_job_is_divided_where_processes_are_faster_and_it_is_long(
    monkeypatch: pytest.MonkeyPatch, own_record: Path
) -> None:
    monkeypatch.delenv("NCBENCH_PROCESSES", raising=False)
    clocks = Clocks(monkeypatch, one_s=1.0, faster=1.3)
    few, short, long = (job_of(replicas=2, duration_fs=fs, timestep_fs=1.0) for fs in (40.0, 100.0, 1.0e5))
    assert processes(few) == 1
    assert clocks.counts == {"one": 0, "faster": 0}
    assert processes(long) == 2
    assert clocks.counts == {"one": 1, "faster": 1}
    # Measured once: the same choice without a measurement, for any length.
    assert processes(long) == 2
    assert clocks.counts == {"one": 1, "faster": 1}
    (times,) = (measured.Times(**entry) for entry in measured._record().values())
    assert times.faster == 1.3
    assert times.start_s is not None
    assert times.start_s > 0.2
    # A job that is too short once the time of the start is known is not divided, whether that is known before or not.
    monkeypatch.setattr(module, "STARTS", 300.0 / max(times.start_s, module.LEAST_START_S))
    assert processes(short) == 1
    own_record.unlink()
    monkeypatch.setattr(module, "LEAST_START_S", 1.0e-3)
    assert [processes(short), processes(short)] == [1, 1]
    assert clocks.counts == {"one": 2, "faster": 2}


@pytest.mark.usefixtures("two_threads", "own_record")
def test_a_job_is_not_divided_where_processes_are_not_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch, one_s=1.0, faster=1.14)
    division = Division()
    job = job_of(replicas=2, duration_fs=1.0e5, timestep_fs=1.0)
    assert processes(job, division) == 1
    assert division._helpers == []
    assert processes(job, division) == 1
    assert clocks.counts == {"one": 1, "faster": 1}


@pytest.mark.usefixtures("two_threads", "own_record")
def test_products_are_not_divided_where_the_model_gives_the_jacobian_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Clocks(monkeypatch, one_s=1.0, faster=2.0)
    job = job_of("lambda", method="exact")
    assert processes(job) == 2
    monkeypatch.setattr(ForceField, "jacobian_in_one", lambda field, atoms: len(atoms) > 1)
    assert processes(job) == 1


@pytest.mark.usefixtures("two_threads", "own_record")
def test_a_job_is_not_divided_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    Clocks(monkeypatch, one_s=1.0, faster=2.0)
    job = job_of(replicas=2, duration_fs=1.0e5, timestep_fs=1.0)
    monkeypatch.setattr(module.memory, "resident", lambda: 2**30)
    monkeypatch.setattr(module.memory, "available", lambda device: 2**31 - 1)
    assert processes(job) == 1
    monkeypatch.setattr(module.memory, "available", lambda device: 2**31 + 1)
    assert processes(job) == 2


@pytest.mark.parametrize("kind", ["forces", "products"])
def test_real_work_can_be_measured(kind: measured.Kind) -> None:
    division = Division()
    try:
        request = ModelRequest(spec="analytic-lj")
        divided = module.DividedForceField(load_forcefield(request), request, division._started(request, 1))
        (case,) = cases_of(job_of())
        assert measured.seconds_of_one(divided.whole, case.atoms, kind) > 0.0
        assert 0.0 < measured.times_faster(divided, case.atoms, kind, 1) < math.inf
    finally:
        division.close()


@pytest.mark.parametrize(("n_atoms", "copies"), [(108, 1), (200, 1), (30, 5), (1000, 1)])
def test_the_measurement_compares_equal_amounts_of_work(
    n_atoms: int, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A structure takes 1 s with all threads in a call of any size, and 0.4 s where processes share the batch.
    monkeypatch.setattr(measured, "_work", lambda forcefield, atoms, count, kind: lambda: (forcefield, count))

    def seconds(work) -> float:
        forcefield, count = work()
        return count * (0.4 if isinstance(forcefield, module.DividedForceField) else 1.0)

    monkeypatch.setattr(measured, "_seconds", seconds)
    request = ModelRequest(spec="analytic-lj")
    # Only the number of helpers is used.
    divided = module.DividedForceField(load_forcefield(request), request, [None])  # type: ignore[list-item]
    assert measured.times_faster(divided, Atoms(f"Ar{n_atoms}"), "forces", copies) == pytest.approx(2.5)


def test_helpers_serve_the_next_job_of_the_same_model() -> None:
    division = Division()
    try:
        first = division._started(ModelRequest(spec="analytic-lj"), 1)
        assert division._started(ModelRequest(spec="analytic-lj"), 1) == first
        other = division._started(ModelRequest(spec="analytic-solenoidal"), 1)
        assert other != first
        assert not first[0].alive
        os.kill(other[0].pid, signal.SIGKILL)
        other[0]._process.wait()
        with pytest.raises(module.HelperError):
            division._started(ModelRequest(spec="analytic-solenoidal"), 1)[0].ask("resident")
        assert division._started(ModelRequest(spec="analytic-solenoidal"), 1)[0].alive
    finally:
        division.close()


def started(out: Path, duration: float, cache: Path, processes: str = "2") -> subprocess.Popen[str]:
    environment = os.environ | {
        "NCBENCH_PROCESSES": processes,
        "NCBENCH_CACHE_DIR": str(cache),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    command = [sys.executable, "-m", "ncbench", *JOB, "--sample-every", "100", "--duration", str(duration)]
    return subprocess.Popen(
        [*command, "--out", str(out)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def helper_of(process: subprocess.Popen[str], out: Path, *, saved: bool = True) -> int:
    """The helper's number, once there is one and, with ``saved``, the job has saved a checkpoint, which it does every ten seconds."""
    began = time.monotonic()
    while time.monotonic() - began < 120.0:
        assert process.poll() is None, process.communicate()
        found = [
            int(place.name)
            for place in Path("/proc").iterdir()
            if place.name.isdecimal() and _is_helper(place, process.pid)
        ]
        if found and (not saved or list(out.glob("jobs/*/checkpoint*"))):
            return found[0]
        time.sleep(0.1)
    raise AssertionError("no helper")


def _is_helper(place: Path, parent: int) -> bool:
    try:
        return (
            b"division.helper" in (place / "cmdline").read_bytes()
            and f"PPid:\t{parent}\n" in (place / "status").read_text()
        )
    except OSError:
        return False


def is_gone(pid: int) -> bool:
    """Whether a process ends within five seconds; one that has ended and waits for its parent counts."""
    began = time.monotonic()
    while time.monotonic() - began < 5.0:
        try:
            if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def rows(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "nve-drift.csv")


needs_cores = pytest.mark.skipif(
    (os.cpu_count() or 1) < 2 or sys.platform != "linux", reason="needs two cores and /proc"
)


@needs_cores
@pytest.mark.slow
def test_a_job_whose_helper_is_killed_fails_with_a_sentence(tmp_path: Path) -> None:
    process = started(tmp_path / "out", 1.0e6, tmp_path)
    os.kill(helper_of(process, tmp_path / "out"), signal.SIGKILL)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 1, error
    assert "Traceback" not in output + error
    assert set(rows(tmp_path / "out")["status"]) == {"failed"}
    (reason,) = set(rows(tmp_path / "out")["reason"])
    assert "signal SIGKILL" in reason
    assert reason.endswith("with NCBENCH_PROCESSES=1, one process, dynamics may begin anew.")


@needs_cores
@pytest.mark.slow
def test_a_helper_ends_with_a_killed_job(tmp_path: Path) -> None:
    process = started(tmp_path / "out", 1.0e6, tmp_path)
    helper = helper_of(process, tmp_path / "out")
    process.kill()
    process.communicate()
    assert is_gone(helper)


@needs_cores
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_divided_job_resumes_with_the_same_bits(tmp_path: Path, number: signal.Signals) -> None:
    duration = 1500.0
    process = started(tmp_path / "out", duration, tmp_path)
    helper = helper_of(process, tmp_path / "out", saved=False)
    time.sleep(4.0)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert is_gone(helper)
    assert set(rows(tmp_path / "out")["status"]) == {"incomplete"}
    for out in ("out", "whole"):
        again = started(tmp_path / out, duration, tmp_path)
        _, error = again.communicate(timeout=300)
        assert again.returncode == 0, error
    resumed, whole = rows(tmp_path / "out"), rows(tmp_path / "whole")
    assert resumed["drift_K_per_ps"].tolist() == whole["drift_K_per_ps"].tolist()
    (recorded,) = (tmp_path / "whole").glob("jobs/*/provenance.json")
    assert json.loads(recorded.read_text())["processes"] == 2
