"""Rules for reusing finished results of the store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib import metadata
from typing import Any

from ncbench import __version__
from ncbench.models.division.setting import processes_set
from ncbench.models.registry import parse_request
from ncbench.run.elsewhere import environment_or_here
from ncbench.run.environments import places, table
from ncbench.run.versions import ALWAYS, version
from ncbench.store.store import Store
from ncbench.types import Job


class Reuse(StrEnum):
    """The finished results that are reused instead of a new measurement."""

    NEVER = "never"
    """None, and no checkpoint: what ``check``, ``baseline`` and ``compare`` do."""
    KNOWN = "known"
    """Those whose job key, versions and threads are those of a new measurement; none of factories."""
    ALL = "all"
    """All with the same job key (``--reuse``)."""

    def allows(self, job: Job) -> bool:
        """Whether a finished result of this job may be reused.

        A factory may read files, environment variables and modules that are not in the key, so that only its user knows whether a
        result is still valid.

        Raises:
            UsageError: there is no such model.
        """
        if self is not Reuse.KNOWN:
            return self is Reuse.ALL
        models = [job.model] if job.reference is None else [job.model, job.reference]
        return not any(parse_request(model).factory for model in models)


def is_reusable(
    reuse: Reuse,
    job: Job,
    store: Store,
    key: str,
    *,
    threads: int | None,
    note: Callable[[str], None] = lambda text: None,
) -> bool:
    """Whether the recorded result of a job is taken; if it is of other versions or threads, a sentence says that it is not.

    Args:
        reuse: what may be taken.
        job: the job.
        store: the results folder.
        key: the job's.
        threads: torch's in a new measurement; ``None`` if not known.
        note: gets the sentence.

    Raises:
        UsageError: there is no such model.
        StoreError: a file exists and cannot be opened.
    """
    if not (reuse.allows(job) and store.is_finished(key)):
        return False
    changed = [] if reuse is Reuse.ALL else differences(job, store.provenance(key), threads)
    if changed:
        note(
            f"{job.diagnostic} of {job.model.spec} is measured again: {', '.join(changed)} (--reuse keeps what is recorded)"
        )
    return not changed


def differences(job: Job, provenance: Mapping[str, Any], threads: int | None) -> list[str]:
    """What differs between a recorded result and a new measurement, as ``torch 2.9.0 → 2.10.0``.

    What the provenance does not hold, and what is not known of an environment that is not on this machine, is not compared.

    Args:
        job: the job.
        provenance: of its recorded result.
        threads: torch's in a new measurement; ``None`` if not known.
    """
    recorded = provenance.get("versions")
    if not recorded:
        # Results from before versions were recorded for each job.
        packages = provenance.get("packages") or {}
        recorded = {name: packages[name] for name in ALWAYS if name in packages}
        recorded |= {"ncbench": provenance["ncbench"]} if "ncbench" in provenance else {}
    now = _versions_in(environment_or_here(job))
    found = []
    for name, before in recorded.items():
        current = __version__ if name == "ncbench" else now(name)
        if current is not None and current != before:
            found.append(f"{name} {before} → {current}")
    threads_before = (provenance.get("torch_state") or {}).get("threads")
    if threads is not None and threads_before is not None and job.model.device == "cpu" and threads != threads_before:
        found.append(f"threads {threads_before} → {threads}")
    # What a measurement would choose, or a job allows, is not known here: only that one process is forced is certain.
    if processes_set() == 1 and (before := provenance.get("processes", 1)) != 1 and job.model.device == "cpu":
        found.append(f"processes {before} → 1")
    return found


def threads_now() -> int | None:
    """Threads of torch in this process; ``None`` if it is not loaded."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


class _Installed:
    """Versions by distribution name in the folders of an environment."""

    def __init__(self, folders: list[str]) -> None:
        self.folders = folders

    def __call__(self, name: str) -> str | None:
        for distribution in metadata.distributions(name=name, path=self.folders):
            return distribution.version
        return None


def _versions_in(environment: str) -> Callable[[str], str | None]:
    """A function from a distribution's name to its version in an environment; of this process if ``environment`` is empty."""
    if not environment:
        return version
    made = places.find(table.get(environment))
    folders = (
        [] if made is None else [*made.folder.glob("lib/python*/site-packages"), made.folder / "Lib" / "site-packages"]
    )
    return _Installed([str(folder) for folder in folders])
