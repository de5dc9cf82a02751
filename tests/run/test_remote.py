"""Jobs in another interpreter: the same numbers, separate output, and crashes as rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ncbench.errors import UnsupportedError, UntrustedCheckpointError, UsageError
from ncbench.run.elsewhere import environment_of, in_groups
from ncbench.run.local import run_jobs
from ncbench.run.plan import plan_jobs
from ncbench.run.reporter import SilentReporter
from ncbench.store.store import Store
from ncbench.types import Budget, Job, ModelRequest, SystemRequest

CRYSTAL = SystemRequest(name="harmonic-crystal", structures=1)


def tiny(*options: str) -> ModelRequest:
    return ModelRequest(spec="tiny-solenoidal", options=tuple(sorted(tuple(o.split("=", 1)) for o in options)))


def run(models, out, *, seeds=(0,), reporter=None, **kwargs):
    requests = [ModelRequest(spec=model) if isinstance(model, str) else model for model in models]
    overrides = {"workloop": {"path": "planar", "loops": 1}}
    jobs = plan_jobs(["workloop"], requests, CRYSTAL, budget=Budget.SMOKE, seeds=seeds, overrides=overrides)
    return run_jobs(jobs, Store(out), reporter or SilentReporter(), **kwargs)


def test_rows_equal_those_of_a_local_run_and_the_worker_is_reused(tiny_environment, tmp_path):
    reported: list[str] = []

    class Listening(SilentReporter):
        def start(self, total, unit):
            reported.append(f"{total:g} {unit}")

    trace = tmp_path / "trace"
    talking = tiny("do=talk", f"trace={trace}")
    summary = run([talking, "analytic-solenoidal"], tmp_path / "out", seeds=[0, 1], reporter=Listening())
    there, current = summary.rows["workloop"][:2], summary.rows["workloop"][2:]
    assert [row["status"] for row in there + current] == ["ok"] * 4
    assert [row["model"] for row in there] == ["tiny-solenoidal"] * 2
    for one, other in zip(there, current, strict=True):
        own = {"model", "job", "seconds"}
        assert {k: v for k, v in one.items() if k not in own} == {k: v for k, v in other.items() if k not in own}
    assert reported == ["1 paths"] * 4
    (pid,) = trace.read_text().split()
    assert int(pid) != os.getpid()
    records = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("jobs/*/provenance.json")]
    assert sorted(record.get("environment", {}).get("name", "") for record in records) == [
        "",
        "",
        "tinyfamily",
        "tinyfamily",
    ]
    assert {record["command_line"][0] for record in records} == {Path(sys.argv[0]).name}
    again = run([talking], tmp_path / "out", seeds=[0, 1])
    assert (again.n_run, again.n_reused) == (0, 2)
    assert again.rows["workloop"] == there


def test_a_crash_gives_a_row_with_a_log_and_other_jobs_continue(tiny_environment, tmp_path):
    models = [tiny("do=segfault"), tiny("do=raise"), tiny("do=unsupported"), tiny()]
    crashed, failed, unsupported, good = run(models, tmp_path).rows["workloop"]
    assert crashed["status"] == failed["status"] == "failed"
    assert "SIGSEGV: a segmentation fault" in crashed["reason"]
    assert "RuntimeError: the kernel fell over" in failed["reason"]
    assert unsupported["status"] == "unsupported"
    assert good["status"] == "ok"
    for row, message in ((crashed, "Segmentation fault"), (failed, "Traceback")):
        log = Path(row["reason"].rpartition("(see ")[2].rstrip(")"))
        assert message in log.read_text()
        assert "in misbehave" in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "message"), [("kill", "SIGKILL: it was killed"), ("exit", "the model ended the program: sys.exit(3)")]
)
def test_killed_and_exiting_workers_give_failed_rows(what, message, tiny_environment, tmp_path):
    crashed, good = run([tiny(f"do={what}"), tiny()], tmp_path).rows["workloop"]
    assert message in crashed["reason"]
    assert good["status"] == "ok"


@pytest.mark.parametrize(("what", "error"), [("refuse", UsageError), ("refuse-checkpoint", UntrustedCheckpointError)])
def test_a_usage_error_in_the_worker_is_raised_locally(tiny_environment, tmp_path, what, error):
    with pytest.raises(UsageError, match=r"asked to refuse\. Do not ask\.") as caught:
        run([tiny(f"do={what}")], tmp_path)
    assert type(caught.value) is error


def test_a_missing_environment_gives_a_row_with_the_command_to_create_it(tiny_home, tmp_path):
    asked = []

    def no(wanted):
        asked.append([spec.name for spec in wanted])
        return False

    models = ["analytic-solenoidal", tiny(), tiny("do=talk")]
    home, first, second = run(models, tmp_path, consent=no).rows["workloop"]
    assert asked == [["tinyfamily"]]
    assert home["status"] == "ok"
    for row in (first, second):
        assert row["status"] == "failed"
        assert "ncbench env create tinyfamily" in row["reason"]
        assert "--yes" in row["reason"]


def test_no_consent_is_requested_for_finished_jobs(tiny_environment, tmp_path, monkeypatch):
    first = run([tiny()], tmp_path / "out")
    monkeypatch.setenv("NCBENCH_ENV_DIR", str(tmp_path / "empty"))
    again = run([tiny()], tmp_path / "out", consent=lambda _wanted: pytest.fail("asked"))
    assert again.rows == first.rows


def jobs_of(*pairs):
    return [
        Job(
            diagnostic="lambda",
            model=ModelRequest(spec=model),
            system=CRYSTAL,
            settings=None,
            reference=None if reference is None else ModelRequest(spec=reference),
        )
        for model, reference in pairs
    ]


def test_environment_of_a_job(tiny_home):
    pairs = [("analytic-lj", None), ("tiny-solenoidal", None), ("tiny-solenoidal", "analytic-lj")]
    pairs += [("analytic-lj", "tiny-solenoidal"), ("ncbench.models.families.analytic_ase:harmonic", "analytic-lj")]
    assert [environment_of(job) for job in jobs_of(*pairs)] == ["", "tinyfamily", "tinyfamily", "tinyfamily", ""]
    (job,) = jobs_of(("tiny-solenoidal", "ncbench.models.families.analytic_ase:harmonic"))
    with pytest.raises(UnsupportedError, match=r"tiny-solenoidal \(tinyfamily\) and .*harmonic \(here\)"):
        environment_of(job)


def test_jobs_of_an_environment_and_of_a_model_are_adjacent(tiny_home):
    order = ["analytic-lj", "tiny-solenoidal", "analytic-harmonic", "analytic-lj", "tiny-solenoidal"]
    grouped = [job.model.spec for job in in_groups(jobs_of(*((spec, None) for spec in order)))]
    assert grouped == ["analytic-lj", "analytic-lj", "analytic-harmonic", "tiny-solenoidal", "tiny-solenoidal"]


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_run(how, tiny_environment, tmp_path):
    trace = tmp_path / "trace"
    command = [
        sys.executable,
        "-m",
        "ncbench",
        "workloop",
        "--model",
        "tiny-solenoidal",
        "--system",
        "harmonic-crystal",
    ]
    command += ["-O", "do=sleep", "-O", f"trace={trace}", "--out", str(tmp_path / "out"), "--budget", "smoke"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not Path(f"{trace}.asleep").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker = int(trace.read_text())
    assert alive(worker)
    process.send_signal(how)
    process.communicate(timeout=30)
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    deadline = time.monotonic() + 5
    while alive(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if how != signal.SIGKILL:
        rows = Store(tmp_path / "out").read("workloop")
        assert rows["status"].tolist() == ["incomplete"]
