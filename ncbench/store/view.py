"""A read-only view of a results folder, without writing, locking or repairing: other processes may be using it."""

from __future__ import annotations

from pathlib import Path

from ncbench.store.index import Entry, Index, job_folders, recorded, with_results
from ncbench.store.locks import is_claimed


class View:
    """The content of a results folder at the time of creation. Result files are checked for existence but not opened.

    Raises:
        StoreError: there is no such folder, it cannot be read, or a newer ncbench wrote it.
    """

    def __init__(self, out_dir: Path | str) -> None:
        self.jobs = Path(out_dir) / "jobs"
        self.folders = job_folders(self.jobs)
        """Keys of all jobs that have a folder, whether recorded or not."""
        index = Index(self.jobs / ".index.jsonl", repair=False)
        index.refresh()
        known = with_results(self.jobs, index.entries().values(), self.folders)
        self.recorded: dict[str, Entry] = {entry.key: entry for entry in known}
        """Recorded jobs by key."""
        for key in self.folders - index.entries().keys():
            if (record := recorded(self.jobs / key, repair=False)) is not None:
                self.recorded[key] = record.entry

    def is_running(self, key: str) -> bool:
        """Whether a process holds the job.

        Raises:
            StoreError: its lock cannot be opened.
        """
        return is_claimed(self.jobs / key)

    def has_checkpoint(self, key: str) -> bool:
        """Whether there is a checkpoint to resume from."""
        return (self.jobs / key / "checkpoint.bin").is_file()
