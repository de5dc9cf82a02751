"""A results folder as it is, looked at without writing, locking or mending anything: it may be read-only, and others may be at work."""

from __future__ import annotations

from pathlib import Path

from ncbench.store.index import Entry, Index, job_folders, recorded, with_results
from ncbench.store.locks import is_claimed


class View:
    """What a results folder held when it was looked at. Result files are seen to be there but not opened.

    Raises:
        StoreError: there is no such folder, it cannot be read, or a newer ncbench wrote it.
    """

    def __init__(self, out_dir: Path | str) -> None:
        self.jobs = Path(out_dir) / "jobs"
        self.folders = job_folders(self.jobs)
        """Keys of all jobs that have a folder, whether anything is recorded in it or not."""
        index = Index(self.jobs / ".index.jsonl", mend=False)
        index.refresh()
        known = with_results(self.jobs, index.entries().values(), self.folders)
        self.recorded: dict[str, Entry] = {entry.key: entry for entry in known}
        """Recorded jobs by key."""
        for key in self.folders - index.entries().keys():
            if (found := recorded(self.jobs / key, mend=False)) is not None:
                self.recorded[key] = found.entry

    def is_running(self, key: str) -> bool:
        """Whether some process holds the job now.

        Raises:
            StoreError: its lock cannot be opened.
        """
        return is_claimed(self.jobs / key)

    def has_checkpoint(self, key: str) -> bool:
        """Whether a checkpoint is there to continue from."""
        return (self.jobs / key / "checkpoint.bin").is_file()
