"""Jobs run by a worker: the store it leaves, and its answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ncbench.run.cases import CaseLoader
from ncbench.run.cluster.task import LOOK_SECONDS, StoppingProgress, probe, run_job
from ncbench.run.local import run_jobs
from ncbench.run.messages import decode
from ncbench.run.reporter import SilentReporter
from ncbench.run.status import key_of
from ncbench.store.store import Store
from ncbench.types import Job

Jobs = Callable[..., list[Job]]
Requests = Callable[..., bytes]


def _key(job: Job) -> str:
    return key_of(job, CaseLoader().of(job))


def test_a_job_is_recorded_as_the_local_runner_records_it(tmp_path: Path, jobs: Jobs, request_of: Requests):
    [job] = jobs(1)
    answer = decode(run_job(request_of(job, tmp_path / "there")))
    local = run_jobs([job], Store(tmp_path / "here"), SilentReporter())
    assert answer["kind"] == "recorded"
    assert answer["reused"] is False
    assert Store(tmp_path / "there").rows(_key(job)) == local.rows["nve-drift"] == answer["rows"]
    record = json.loads((tmp_path / "there" / "jobs" / _key(job) / "provenance.json").read_text())
    assert record["command_line"] == ["ncbench", "run", "small.toml"]


def test_a_finished_job_is_not_repeated(tmp_path: Path, jobs: Jobs, request_of: Requests):
    [job] = jobs(1)
    first, second = (decode(run_job(request_of(job, tmp_path / "out"))) for _ in range(2))
    assert (first["reused"], second["reused"]) == (False, True)
    assert first["rows"] == second["rows"]


def test_a_job_locked_by_another_process_is_skipped(tmp_path: Path, jobs: Jobs, request_of: Requests):
    [job] = jobs(1)
    store = Store(tmp_path / "out")
    with store.claim(_key(job)) as held:
        assert held
        assert decode(run_job(request_of(job, store.out)))["kind"] == "busy"
    assert store.rows(_key(job)) == []


def test_a_stopped_job_resumes_to_identical_numbers(tmp_path: Path, jobs: Jobs, request_of: Requests):
    [job] = jobs(1, length=600.0)
    store, stop = Store(tmp_path / "out"), tmp_path / "stop"
    request = request_of(job, store.out)
    answers: list[bytes] = []
    worker = threading.Thread(target=lambda: answers.append(run_job(request)))
    worker.start()
    until = time.monotonic() + 60
    while not store.folder(_key(job)).exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    stop.write_bytes(b"")
    worker.join()
    assert decode(answers[0])["kind"] == "stopped"
    assert {row["status"] for row in store.rows(_key(job))} == {"incomplete"}
    # No job starts while the file exists.
    assert decode(run_job(request))["kind"] == "stopped"
    stop.unlink()
    stopped = decode(run_job(request))
    whole = decode(run_job(request_of(job, tmp_path / "whole")))
    assert stopped["rows"] == whole["rows"]


def test_an_unusable_folder_is_reported(tmp_path: Path, jobs: Jobs, request_of: Requests):
    [job] = jobs(1)
    out = tmp_path / "out"
    (out / "jobs" / _key(job)).parent.mkdir(parents=True)
    (out / "jobs" / _key(job)).write_text("a file in the place of the job's folder")
    answer = decode(run_job(request_of(job, out)))
    assert answer["kind"] == "refused"
    assert _key(job) in answer["message"]


def test_an_invalid_request_is_not_run():
    with pytest.raises(ValueError, match="not a message"):
        run_job(b'["kind"]')


def test_the_stop_request_is_raised_once(tmp_path: Path):
    # A worker of another environment is stopped next, and its last messages still come through update().
    progress = StoppingProgress()
    progress.watch(tmp_path / "stop")
    progress.update(1)
    (tmp_path / "stop").write_bytes(b"")
    time.sleep(1.1 * LOOK_SECONDS)
    with pytest.raises(KeyboardInterrupt):
        progress.update(2)
    time.sleep(1.1 * LOOK_SECONDS)
    progress.update(3)


def test_a_worker_reports_whether_it_can_access_the_folder(tmp_path: Path):
    (tmp_path / "token").write_bytes(b"")
    assert probe(str(tmp_path / "token"))["sees"]
    assert not probe(str(tmp_path / "other"))["sees"]
