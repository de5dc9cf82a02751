"""A Slurm of this one machine, from the system's packages, and jobs through it: `make test-slurm`."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from ncbench.run.local import run_jobs
from ncbench.run.plan import load_suite
from ncbench.run.reporter import SilentReporter
from ncbench.store.store import Store

pytest.importorskip("dask_jobqueue")
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        shutil.which("slurmctld") is None or shutil.which("slurmd") is None,
        reason="needs slurmctld and slurmd (Debian: apt install slurmctld slurmd slurm-client)",
    ),
    pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="slurmd wants to be root"),
]

CONFIGURATION = """
ClusterName=ncbench
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
ReturnToService=2
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=6000 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

SUITE = """
[suite]
name = "small"
budget = "smoke"
[[run]]
diagnostics = ["nve-drift"]
models = ["analytic-lj"]
system = "argon"
structures = 1
seeds = [0, 1]
settings.nve-drift = { duration_fs = 40.0, timestep_fs = 1.0 }
"""

WORKERS = """
workers = 2
cores = 1
memory = "2GB"
walltime = "00:20:00"
queue = "debug"
log = "{folder}/logs"
"""


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a running Slurm of one node with two cores."""
    folder = tmp_path / "slurm"
    for name in ("state", "spool", "logs"):
        (folder / name).mkdir(parents=True)
    configuration = folder / "slurm.conf"
    text = CONFIGURATION.format(host=platform.node().split(".")[0], folder=folder, ports=_free_ports(2))
    configuration.write_text(text, encoding="utf-8")
    monkeypatch.setenv("SLURM_CONF", str(configuration))
    daemons = []
    try:
        for name in ("slurmctld", "slurmd"):
            log = (folder / f"{name}.log").open("wb")
            daemons.append(subprocess.Popen([name, "-D"], stdout=log, stderr=subprocess.STDOUT))
            log.close()
        end = time.monotonic() + 60
        while "idle" not in subprocess.run(["sinfo", "-h"], capture_output=True, text=True, check=False).stdout:
            if time.monotonic() > end or any(daemon.poll() is not None for daemon in daemons):
                logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in folder.glob("slurm*.log"))
                pytest.fail(f"Slurm did not start:\n{logs}")
            time.sleep(0.5)
        yield folder
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(20)


def test_refusals_of_slurm_are_reported_immediately(slurm: Path, tmp_path: Path):
    suite, workers = tmp_path / "small.toml", tmp_path / "slurm.toml"
    suite.write_text(SUITE, encoding="utf-8")
    workers.write_text(WORKERS.format(folder=slurm).replace('"2GB"', '"900GB"'), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "ncbench",
        "run",
        str(suite),
        "--out",
        str(tmp_path / "out"),
        "--slurm",
        str(workers),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "Slurm refuses" in done.stderr
    assert "configuration is not available" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_jobs_run_through_slurm(slurm: Path, tmp_path: Path):
    suite, workers, out = tmp_path / "small.toml", tmp_path / "slurm.toml", tmp_path / "out"
    suite.write_text(SUITE, encoding="utf-8")
    workers.write_text(WORKERS.format(folder=slurm), encoding="utf-8")
    command = [sys.executable, "-m", "ncbench", "run", str(suite), "--out", str(out), "--slurm", str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    # Two batch jobs were its workers, and none is left.
    assert len(list((slurm / "logs").glob("*.err"))) == 2
    end = time.monotonic() + 30
    while subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=False).stdout.strip():
        assert time.monotonic() < end, "batch jobs were left in the queue"
        time.sleep(0.5)
    result = pd.read_parquet(out / "nve-drift.parquet").sort_values("seed", ignore_index=True)
    run_jobs(load_suite(suite), Store(tmp_path / "here"), SilentReporter())
    current = pd.read_parquet(tmp_path / "here" / "nve-drift.parquet").sort_values("seed", ignore_index=True)
    pd.testing.assert_frame_equal(result, current)
