"""What a user asks of a cluster. Nothing here imports Dask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ncbench.errors import NcbenchError, UsageError


class ClusterError(NcbenchError):
    """The cluster cannot be used, or was lost. What is finished is kept."""


class NoSchedulerError(ClusterError):
    """No scheduler answers."""


class TimeUpError(NcbenchError):
    """The time that was given is over. What is finished is kept, and what ran left its checkpoint."""


@dataclass(frozen=True, kw_only=True)
class ClusterRequest:
    """Where the workers come from: one of the first three."""

    workers: int | None = None
    """Processes to start on this machine."""
    scheduler: str | None = None
    """Address of a running scheduler, such as ``tcp://head:8786``."""
    slurm: Path | None = None
    """A TOML file that says how Slurm is asked for workers."""
    jobs_per_gpu: int = 1
    """Workers of this machine that share a GPU."""
    threads: int | None = None
    """CPU threads of a job; ``None``: a worker's share of this machine's, and elsewhere what the worker was started with."""

    def __post_init__(self) -> None:
        given = [name for name, value in self.places().items() if value is not None]
        if len(given) != 1:
            named = " and ".join(given) or "nothing"
            raise UsageError(f"Workers come from one place, and {named} was named.", hint="Keep one of these options.")
        for name, value in (("--workers", self.workers), ("--jobs-per-gpu", self.jobs_per_gpu)):
            if value is not None and value < 1:
                raise UsageError(f"{name} {value} is not a positive number.")
        if self.scheduler is not None and "://" not in self.scheduler:
            raise UsageError(
                f"'{self.scheduler}' is no address of a scheduler.", hint="Write --scheduler tcp://host:8786."
            )
        if self.slurm is not None and not self.slurm.is_file():
            raise UsageError(f"There is no file '{self.slurm}'.", hint="docs/cluster.md shows what it holds.")

    def places(self) -> dict[str, object]:
        """The options that name a place, with their values."""
        return {"--workers": self.workers, "--scheduler": self.scheduler, "--slurm": self.slurm}
