"""Real workers: the same rows as without a cluster, also when processes are killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("distributed")

from ncbench.errors import StoreError, UsageError
from ncbench.run.cluster import connect, dispatch
from ncbench.run.cluster.request import ClusterError, ClusterRequest, TimeUpError
from ncbench.run.local import run_jobs as run_here
from ncbench.run.reporter import SilentReporter
from ncbench.store.store import Store
from ncbench.types import Job

# Dask leaves sockets and event loops of closed clusters to the collector.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(distributed|dask|tornado).*"),
]

Jobs = Callable[..., list[Job]]
TWO = ClusterRequest(workers=2, threads=1)
SECONDS = 120.0


class Silent(SilentReporter):
    """A batch reporter that counts."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, bool]] = []

    def batch(self, total: int, done: int) -> None:
        self.total = total

    def finished(self, job: Job, rows: Any, seconds: float, *, reused: bool) -> None:
        self.ended.append((f"{job.diagnostic}/{job.seed}", reused))


def _rows(out: Path) -> pd.DataFrame:
    frame = pd.read_parquet(out / "nve-drift.parquet")
    return frame.sort_values("seed", ignore_index=True)


def _local(jobs: list[Job], out: Path) -> pd.DataFrame:
    run_here(jobs, Store(out), SilentReporter())
    return _rows(out)


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "this did not happen"
        time.sleep(0.02)


def _workers() -> list[int]:
    """Processes that this one, or its children, started as workers."""
    import psutil

    result = []
    for child in psutil.Process().children(recursive=True):
        try:
            if any("spawn_main" in part for part in child.cmdline()):
                result.append(child.pid)
        except psutil.NoSuchProcess:
            continue
    return result


def test_two_workers_give_the_rows_of_one_process(tmp_path: Path, jobs: Jobs):
    wanted = jobs(6)
    reporter = Silent()
    summary = dispatch.run_jobs(wanted, Store(tmp_path / "out"), reporter, TWO)
    assert (summary.n_run, summary.n_reused, summary.failed) == (6, 0, False)
    assert sorted(reporter.ended) == [(f"nve-drift/{seed}", False) for seed in range(6)]
    pd.testing.assert_frame_equal(_rows(tmp_path / "out"), _local(wanted, tmp_path / "here"))
    again = dispatch.run_jobs(wanted, Store(tmp_path / "out"), Silent(), TWO)
    assert (again.n_run, again.n_reused) == (0, 6)
    assert not any((tmp_path / "out" / "jobs").glob(".stop-*"))


def test_two_clusters_run_on_one_machine_at_once():
    one = ClusterRequest(workers=1, threads=1)
    # A port in use is a warning of distributed, which fails here.
    with connect.local_cluster(one) as first, connect.local_cluster(one) as second:
        assert first.scheduler_address != second.scheduler_address
        assert first.scheduler.http_server.port != second.scheduler.http_server.port


def _modified(path: Path) -> float:
    """Time of the last change, 0 for a file that is gone: a finished job removes its checkpoint."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def test_a_killed_worker_loses_nothing(tmp_path: Path, jobs: Jobs):
    wanted = jobs(3, length=2000.0)
    store = Store(tmp_path / "out")
    killed: list[int] = []

    def kill() -> None:
        # Two workers while a job is under way, the second after a checkpoint that is newer than the first kill.
        for _ in range(2):
            since = time.time()
            _until(lambda t=since: any(_modified(path) > t for path in store.jobs.glob("*/checkpoint.bin")))
            workers = [pid for pid in _workers() if pid not in killed]
            os.kill(workers[0], signal.SIGKILL)
            killed.append(workers[0])

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        summary = dispatch.run_jobs(wanted, store, Silent(), TWO)
    finally:
        killer.join()
    assert len(killed) == 2
    assert (summary.n_run, summary.failed) == (3, False)
    pd.testing.assert_frame_equal(_rows(store.out), _local(wanted, tmp_path / "here"))


DYING = """
import os
from ase.calculators.lj import LennardJones

class Dying(LennardJones):
    def calculate(self, *arguments, **more):
        os._exit(139)

def calculator():
    return Dying(sigma=3.4, epsilon=0.01, rc=8.0)
"""


def test_a_job_that_kills_its_workers_fails_and_others_finish(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "dying").mkdir()
    (tmp_path / "dying" / "model.py").write_text(DYING, encoding="utf-8")
    # Spawned workers inherit the path by which this process imports.
    monkeypatch.syspath_prepend(str(tmp_path))
    [good] = jobs(1)
    bad = replace(good, model=replace(good.model, spec="dying.model:calculator"))
    summary = dispatch.run_jobs([bad, good], Store(tmp_path / "out"), Silent(), TWO)
    assert summary.failed
    rows = _rows(tmp_path / "out").set_index("model")
    assert rows.loc["analytic-lj", "status"] == "ok"
    [failed] = [row for name, row in rows.iterrows() if name != "analytic-lj"]
    assert failed["status"] == "failed"
    assert "Several workers died" in failed["reason"]


def test_the_time_limit_leaves_checkpoints(tmp_path: Path, jobs: Jobs):
    wanted = jobs(2, length=60000.0)
    store = Store(tmp_path / "out")
    with pytest.raises(TimeUpError, match=r"0 of 2 jobs are finished"):
        dispatch.run_jobs(wanted, store, Silent(), TWO, max_hours=15.0 / 3600.0)
    assert len(list(store.jobs.glob("*/checkpoint.bin"))) >= 1


@pytest.mark.parametrize("small_disk", ["4m"], indirect=True)
def test_a_full_disk_is_reported_and_damages_nothing(small_disk: Path, jobs: Jobs):
    wanted = jobs(4)
    store = Store(small_disk / "out")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - 24_000))
    with pytest.raises(StoreError, match="disk is full"):
        dispatch.run_jobs(wanted, store, Silent(), TWO)
    ballast.unlink()
    summary = dispatch.run_jobs(wanted, Store(small_disk / "out"), Silent(), TWO)
    assert (summary.n_run + summary.n_reused, summary.failed) == (4, False)
    assert sorted(_rows(store.out)["seed"]) == [0, 1, 2, 3]


def test_missing_worker_resources_are_reported(tmp_path: Path, jobs: Jobs):
    wanted = jobs(1, more="resources = { gpu = 2 }")
    with pytest.raises(ClusterError, match=r"No worker offers.*GPU 2"):
        dispatch.run_jobs(wanted, Store(tmp_path / "out"), Silent(), TWO)


def test_a_gpu_by_number_is_refused(tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dispatch, "validate_jobs", lambda jobs: None)  # this machine may have no such GPU
    wanted = jobs(1, more='device = "cuda:1"')
    with pytest.raises(UsageError, match="Write --device cuda"):
        dispatch.run_jobs(wanted, Store(tmp_path / "out"), Silent(), TWO)


def test_an_unreachable_scheduler_is_reported(tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 1.0)
    request = ClusterRequest(scheduler="tcp://127.0.0.1:9")
    with pytest.raises(ClusterError, match=r"No scheduler answers at tcp://127\.0\.0\.1:9"):
        dispatch.run_jobs(jobs(1), Store(tmp_path / "out"), Silent(), request)


@contextmanager
def _program(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _scheduler(port: int) -> Any:
    return _program("dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")


def _worker(port: int) -> Any:
    return _program(
        "dask_worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--no-dashboard", "--memory-limit", "0"
    )


def test_a_run_survives_a_restart_of_the_scheduler(tmp_path: Path, jobs: Jobs):
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    wanted = jobs(4, length=600.0)
    store = Store(tmp_path / "out")
    request = ClusterRequest(scheduler=f"tcp://127.0.0.1:{port}")
    result: list[Any] = []

    def run() -> None:
        result.append(dispatch.run_jobs(wanted, store, Silent(), request))

    with _scheduler(port) as first, _worker(port) as worker:
        client = threading.Thread(target=run)
        client.start()
        _until(lambda: any(store.jobs.glob("*/checkpoint.bin")))
        first.kill()
        first.wait()
        worker.wait(60)
        with _scheduler(port), _worker(port):
            client.join(2 * SECONDS)
    assert result, "the run did not survive its scheduler"
    assert (result[0].failed, result[0].n_run + result[0].n_reused) == (False, 4)
    pd.testing.assert_frame_equal(_rows(store.out), _local(wanted, tmp_path / "here"))


def test_ctrl_c_in_the_terminal_keeps_checkpoints_and_leaves_no_process(tmp_path: Path, jobs: Jobs):
    import psutil

    jobs(3, length=60000.0)
    command = [
        sys.executable,
        "-m",
        "ncbench",
        "run",
        str(tmp_path / "small.toml"),
        "--out",
        str(tmp_path / "out"),
        "--workers",
        "2",
    ]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    _until(lambda: len(list((tmp_path / "out" / "jobs").glob("*/checkpoint.bin"))) >= 2 or process.poll() is not None)
    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    # A terminal sends it to all of them.
    os.killpg(process.pid, signal.SIGINT)
    message, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, message
    assert "Traceback" not in message
    assert "run the same command again" in message
    rows = _rows(tmp_path / "out")
    assert set(rows["status"]) == {"incomplete"}
    assert len(list((tmp_path / "out" / "jobs").glob("*/checkpoint.bin"))) == 2
    _until(lambda: not any(psutil.pid_exists(one.pid) for one in family[1:]))
