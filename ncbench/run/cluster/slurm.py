"""Workers from Slurm, with settings from a TOML file.

::

    workers = 4                        # batch jobs, each a worker that runs one job of ncbench at a time
    cores = 4                          # CPU cores of each
    memory = "16GB"
    walltime = "04:00:00"
    queue = "gpu"                      # partition
    account = "mat-123"
    gpus = 1                           # per worker, requested with --gres and offered to jobs
    directives = ["--constraint=h100"] # further #SBATCH lines
    prologue = ["module load cuda"]    # shell lines before the worker
    interface = "ib0"                  # network of scheduler and workers
    scratch = "/scratch/me"            # local folder of the workers
    log = "slurm-logs"                 # folder of Slurm's output
"""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

from ncbench.errors import UsageError, did_you_mean
from ncbench.run.cluster.request import ClusterError

TEST_SECONDS = 60.0

KEYS: dict[str, type | tuple[type, ...]] = {
    "workers": int, "cores": int, "memory": str, "walltime": str, "queue": str, "account": str, "gpus": int, "directives": list,
    "prologue": list, "interface": str, "scratch": str, "log": str,
}  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    """The settings of a file, checked.

    Raises:
        UsageError: it is not TOML, or a key is unknown or has the wrong type.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"'{path}' is not a TOML file: {error}.") from error
    for key, value in settings.items():
        if key not in KEYS:
            raise UsageError(
                f"'{path}' has an unknown key '{key}'.", hint=did_you_mean(key, KEYS) or f"Known: {', '.join(KEYS)}."
            )
        if not isinstance(value, KEYS[key]) or isinstance(value, bool):
            raise UsageError(f"'{path}': {key} cannot be {value!r}.")
        if isinstance(value, int) and value < (0 if key == "gpus" else 1):
            raise UsageError(f"'{path}': {key} = {value} is not a positive number.")
    return {"workers": 1, "cores": 1, "memory": "4GB", "gpus": 0, "directives": [], "prologue": [], **settings}


def options(settings: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``dask_jobqueue.SLURMCluster`` for settings of :func:`read`."""
    gpus = settings["gpus"]
    # One process with one Dask thread per batch job: torch uses the cores.
    arguments: dict[str, Any] = {
        "cores": 1,
        "processes": 1,
        "memory": settings["memory"],
        "job_cpu": settings["cores"],
        "job_extra_directives": [*([f"--gres=gpu:{gpus}"] if gpus else []), *settings["directives"]],
        "job_script_prologue": [f"export OMP_NUM_THREADS={settings['cores']}", *settings["prologue"]],
        "worker_extra_args": ["--resources", f"GPU={gpus}"] if gpus else [],
    }
    names = {
        "walltime": "walltime",
        "queue": "queue",
        "account": "account",
        "interface": "interface",
        "scratch": "local_directory",
        "log": "log_directory",
    }
    return arguments | {argument: settings[setting] for setting, argument in names.items() if setting in settings}


def slurm_cluster(path: Path) -> Any:
    """A cluster with the number of Slurm workers given in the file.

    Raises:
        UsageError: the file is invalid.
        ClusterError: Slurm is not available, or refuses such jobs.
    """
    settings = read(path)
    from dask_jobqueue.slurm import SLURMCluster

    cluster = SLURMCluster(**options(settings))
    try:
        see_that_slurm_takes(cluster.job_script())
    except ClusterError:
        cluster.close(timeout=10)
        raise
    cluster.scale(jobs=settings["workers"])
    return cluster


def see_that_slurm_takes(script: str) -> None:
    """Test whether Slurm accepts a batch script. Dask would otherwise wait for workers that never start.

    Raises:
        ClusterError: it does not (with Slurm's message); or there is no Slurm.
    """
    try:
        done = subprocess.run(
            ["sbatch", "--test-only"],  # noqa: S607 - wherever the cluster has it
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=TEST_SECONDS,
        )
    except FileNotFoundError as error:
        raise ClusterError(
            "There is no sbatch on this machine.", hint="Run on a machine with Slurm's commands."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"Slurm did not answer within {TEST_SECONDS:.0f} s.", hint="Look at `sinfo`.") from error
    if done.returncode:
        message = " ".join(done.stderr.split())
        raise ClusterError(f"Slurm refuses such a job: {message}", hint="Change the file given to --slurm.")
