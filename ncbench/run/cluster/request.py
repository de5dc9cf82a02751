"""A user's request for a cluster. This module does not import Dask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ncbench.errors import NcbenchError, UsageError


class ClusterError(NcbenchError):
    """The cluster cannot be used, or was lost. Finished jobs are kept."""


class NoSchedulerError(ClusterError):
    """No scheduler answers."""


class TimeUpError(NcbenchError):
    """The time limit is over. Finished jobs are kept, and running ones saved their checkpoints."""


@dataclass(frozen=True, kw_only=True)
class ClusterRequest:
    """Source of the workers: one of the first three fields."""

    workers: int | None = None
    """Number of processes to start on this machine."""
    scheduler: str | None = None
    """Address of a running scheduler, such as ``tcp://head:8786``."""
    slurm: Path | None = None
    """A TOML file with the Slurm settings of workers."""
    jobs_per_gpu: int = 1
    """Number of workers of this machine that share a GPU."""
    threads: int | None = None
    """CPU threads of a job; ``None``: an equal share on this machine, and elsewhere the setting of the worker."""

    def __post_init__(self) -> None:
        given = [name for name, value in self.places().items() if value is not None]
        if len(given) != 1:
            named = " and ".join(given) or "nothing"
            raise UsageError(
                f"Workers can have only one source, but {named} was given.", hint="Keep one of these options."
            )
        for name, value in (("--workers", self.workers), ("--jobs-per-gpu", self.jobs_per_gpu)):
            if value is not None and value < 1:
                raise UsageError(f"{name} {value} is not a positive number.")
        if self.scheduler is not None and "://" not in self.scheduler:
            raise UsageError(
                f"'{self.scheduler}' is not the address of a scheduler.", hint="Write --scheduler tcp://host:8786."
            )
        if self.slurm is not None and not self.slurm.is_file():
            raise UsageError(f"There is no file '{self.slurm}'.", hint="See docs/cluster.md for its content.")

    def places(self) -> dict[str, object]:
        """The options that select a source, with their values."""
        return {"--workers": self.workers, "--scheduler": self.scheduler, "--slurm": self.slurm}
