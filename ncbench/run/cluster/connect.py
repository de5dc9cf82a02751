"""A Dask client, from workers of this machine, from a running scheduler, or from Slurm."""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ncbench
from ncbench.errors import MissingPackageError
from ncbench.run.cluster.request import ClusterError, ClusterRequest, NoSchedulerError
from ncbench.run.cluster.task import probe

CONNECT_SECONDS = 30.0
FIRST_WORKER_SECONDS = 600.0
"""Maximum wait for the first worker of a queue, s; Ctrl-C ends it."""


def require(*packages: str) -> None:
    """Check that the packages of the extra are installed.

    Raises:
        MissingPackageError: one is not installed.
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingPackageError(
                f"This needs the package '{package}', which is not installed here.",
                hint="Run: pip install 'ncbench[cluster]'; without it jobs run one after another.",
            )


@contextmanager
def connected(request: ClusterRequest, out: Path) -> Iterator[Any]:
    """A ``distributed.Client`` with at least one worker that can run jobs into ``out``; workers started here end with it.

    Raises:
        MissingPackageError: Dask is not installed.
        ClusterError: no scheduler answers, no worker comes, or a worker has another version of ncbench or cannot access the folder.
        UsageError: the Slurm file is invalid.
    """
    require("dask", "distributed", *(["dask_jobqueue"] if request.slurm else []))
    import distributed  # noqa: F401 - it fills Dask's configuration when it is imported, which must not happen inside the block below
    from dask import config

    # Dask's own log of connections is for cluster administrators; failures are raised as exceptions.
    with config.set({"logging.distributed": "critical"}):
        from distributed.utils import silence_logging_cmgr

        with (
            silence_logging_cmgr("CRITICAL", root="distributed"),
            _cluster(request) as cluster,
            _client(request.scheduler or cluster) as client,
        ):
            with scheduler_losses():
                wait_for_workers(client)
                check_workers(client, out)
            yield client


@contextmanager
def scheduler_losses() -> Iterator[None]:
    """Context in which a broken connection means that the scheduler is gone.

    Raises:
        NoSchedulerError: the connection broke.
    """
    from distributed.comm.core import CommClosedError

    try:
        yield
    except CommClosedError as error:
        raise NoSchedulerError("The scheduler is gone.", hint="Run the same command again.") from error


@contextmanager
def _client(where: Any) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(where, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise NoSchedulerError(
            f"No scheduler answers at {where}.", hint="Start one with `dask scheduler`, and workers with `dask worker`."
        ) from error
    try:
        yield client
    finally:
        with suppress(OSError, TimeoutError):
            client.close(timeout=5)


@contextmanager
def _cluster(request: ClusterRequest) -> Iterator[Any]:
    if request.scheduler is not None:
        yield None
        return
    if request.slurm is not None:
        from ncbench.run.cluster.slurm import slurm_cluster

        cluster = slurm_cluster(request.slurm)
    else:
        cluster = local_cluster(request)
    try:
        yield cluster
    finally:
        with suppress(OSError, TimeoutError):
            cluster.close(timeout=10)


def local_cluster(request: ClusterRequest) -> Any:
    """Workers on this machine with one Dask thread each, which may share its GPUs.

    A worker with a GPU sees only that one, and offers it as ``GPU`` 1; every worker offers its share of the memory in bytes as ``memory``.
    """
    from distributed import Nanny, Scheduler, SpecCluster

    assert request.workers is not None
    gpus = visible_gpus()
    threads = request.threads or max(1, (os.cpu_count() or 1) // request.workers)
    memory = total_memory() / request.workers
    workers = {}
    for number in range(request.workers):
        environment = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        resources = {"memory": memory}
        if number < len(gpus) * request.jobs_per_gpu:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
            resources["GPU"] = 1.0
        options = {
            "nthreads": 1,
            "name": f"worker-{number}",
            # Jobs handle memory themselves: pausing or killing a worker at a memory limit would hide the cause of the failure.
            "memory_limit": 0,
            "resources": resources,
            "env": environment,
            "dashboard": False,
            "silence_logs": logging.CRITICAL,
            "preload": ["ncbench.run.cluster.preload"],
        }
        workers[number] = {"cls": Nanny, "options": options}
    # A scheduler always has a web server: on a free port, since at a fixed one a second cluster on this machine would fail or warn.
    listening = {"host": "127.0.0.1", "port": 0, "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    scheduler = {"cls": Scheduler, "options": listening}
    return SpecCluster(scheduler=scheduler, workers=workers, name="ncbench", silence_logs=False)


def visible_gpus() -> list[str]:
    """The GPUs of this machine by CUDA's names, without initialising them."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip() and name.strip() != "-1"]
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=20)  # noqa: S607
        return [str(number) for number, line in enumerate(done.stdout.splitlines()) if line.startswith("GPU")]
    return []


def total_memory() -> float:
    """Memory of this machine, bytes; infinite if the system does not report it."""
    with suppress(OSError, ValueError, AttributeError):
        return float(os.sysconf("SC_PAGE_SIZE")) * float(os.sysconf("SC_PHYS_PAGES"))
    return float("inf")


def wait_for_workers(client: Any) -> None:
    """Wait for the first worker.

    Raises:
        ClusterError: none connected.
    """
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
    except TimeoutError as error:
        raise ClusterError(
            f"No worker connected within {FIRST_WORKER_SECONDS / 60:.0f} minutes.",
            hint="Look at the queue, and run again.",
        ) from error


def check_workers(client: Any, out: Path) -> None:
    """Check that the connected workers run this version of ncbench and can access the results folder.

    Raises:
        ClusterError: one does not, or cannot.
    """
    # A new name, which is not in the cache of a network file system.
    token = out.absolute() / "jobs" / f".seen-{secrets.token_hex(6)}"
    token.write_bytes(b"")
    try:
        answers = client.run(probe, str(token), on_error="return")
    finally:
        token.unlink(missing_ok=True)
    for address, answer in answers.items():
        if not isinstance(answer, dict):
            raise ClusterError(
                f"The worker {address} cannot run ncbench: {answer!r}.", hint="Install this ncbench where it runs."
            )
        if answer["ncbench"] != ncbench.__version__:
            raise ClusterError(
                f"The worker {address} has ncbench {answer['ncbench']}, not {ncbench.__version__}.",
                hint="Install the same version everywhere.",
            )
        if not answer["sees"]:
            raise ClusterError(
                f"The worker {address} on {answer['host']} cannot access the folder {out.absolute()}.",
                hint="Choose an --out that all machines share.",
            )
