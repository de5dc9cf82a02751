"""Where jobs run: consecutively in this process, or on the workers of a cluster."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ncbench.errors import UsageError

if TYPE_CHECKING:
    from ncbench.cli.progress import TerminalReporter
    from ncbench.run.cluster.request import ClusterRequest
    from ncbench.run.elsewhere import Consent
    from ncbench.run.local import Summary
    from ncbench.store.store import Store
    from ncbench.types import Job

CLUSTER_PANEL = "Cluster (the extra 'cluster')"

WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", help="Run N jobs at a time on this machine.", rich_help_panel=CLUSTER_PANEL),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="Run on the workers of a Dask scheduler; all must share the folder --out.",
        rich_help_panel=CLUSTER_PANEL,
    ),
]
SlurmOption = Annotated[
    str | None,
    typer.Option(
        "--slurm",
        metavar="FILE.toml",
        help="Start workers by Slurm with the settings of the file; all must share the folder --out.",
        rich_help_panel=CLUSTER_PANEL,
    ),
]
JobsPerGpuOption = Annotated[
    int,
    typer.Option(
        "--jobs-per-gpu",
        metavar="K",
        help="With --workers: number of them that share a GPU.",
        rich_help_panel=CLUSTER_PANEL,
    ),
]
RetriesOption = Annotated[
    int,
    typer.Option("--retries", min=0, metavar="N", help="Repeat a job that fails unexpectedly up to N times."),
]


@dataclass(frozen=True, kw_only=True)
class How:
    """The command-line options on where and how long jobs run."""

    cluster: ClusterRequest | None = None
    retries: int = 0
    max_hours: float | None = None
    reuse: bool = False
    """Whether finished results of factories are reused."""


def how_of(
    *,
    workers: int | None,
    scheduler: str | None,
    slurm: str | None,
    jobs_per_gpu: int,
    threads: int | None,
    retries: int,
    max_hours: float | None = None,
    reuse: bool = False,
) -> How:
    """The combined options.

    Raises:
        UsageError: they exclude each other.
    """
    if max_hours is not None and not 0 < max_hours < float("inf"):
        raise UsageError(f"--max-hours {max_hours} is not a positive number.")
    if workers is None and scheduler is None and slurm is None:
        if jobs_per_gpu != 1:
            raise UsageError("--jobs-per-gpu needs --workers.", hint="Add --workers N.")
        return How(retries=retries, max_hours=max_hours, reuse=reuse)
    from ncbench.run.cluster.request import ClusterRequest

    cluster = ClusterRequest(
        workers=workers,
        scheduler=scheduler,
        slurm=None if slurm is None else Path(slurm),
        jobs_per_gpu=jobs_per_gpu,
        threads=threads,
    )
    return How(cluster=cluster, retries=retries, max_hours=max_hours, reuse=reuse)


def run_jobs(jobs: Sequence[Job], store: Store, reporter: TerminalReporter, *, consent: Consent, how: How) -> Summary:
    """Run the unfinished jobs, in this process or on the requested cluster.

    Raises:
        NcbenchError, KeyboardInterrupt: see :func:`ncbench.run.local.run_jobs` and :func:`ncbench.run.cluster.dispatch.run_jobs`.
    """
    from ncbench.run.reuse import Reuse

    reuse = Reuse.ALL if how.reuse else Reuse.KNOWN
    if how.cluster is not None:
        from ncbench.run.cluster.connect import require

        require("dask", "distributed")
        from ncbench.run.cluster.dispatch import run_jobs as on_cluster

        return on_cluster(
            jobs,
            store,
            reporter,
            how.cluster,
            consent=consent,
            retries=how.retries,
            max_hours=how.max_hours,
            reuse=reuse,
        )
    from ncbench.run.local import run_jobs as here

    with _at_most(how.max_hours):
        return here(jobs, store, reporter, consent=consent, retries=how.retries, reuse=reuse)


@contextmanager
def _at_most(hours: float | None) -> Iterator[None]:
    """Interrupt the running job when the time is over, as Ctrl-C would: it saves its checkpoint.

    Raises:
        TimeUpError: the time is over.
    """
    if hours is None:
        yield
        return
    from ncbench.run.cluster.request import TimeUpError

    over = False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal over
        over = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 3600.0 * hours)
    try:
        yield
    except KeyboardInterrupt:
        if not over:
            raise
        raise TimeUpError(
            f"{hours:g} h are over, before all jobs were finished.", hint="Run the same command again to continue."
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
