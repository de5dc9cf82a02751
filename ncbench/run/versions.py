"""Versions and threads that decide a result's bits and are not part of its key: they are recorded, and compared before it is reused.

The key holds the content of weight files, and the version of a package that contains the weights. An upgrade of torch, of the packages that
run a model, or of ncbench changes numbers under the same key; a key of all versions would lose the results of one environment in another.
On a CPU, the number of threads changes the order of float32 sums: the conservative forces of pet-m on 192 atoms differ by up to 5e-7 eV/Å between one
thread and two, its direct forces do not differ.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from ncbench import __version__
from ncbench.models import factories
from ncbench.models.family import reading
from ncbench.models.registry import parse_request
from ncbench.store.keys import distributions_of
from ncbench.types import Job, ModelRequest

ALWAYS = ("torch", "ase", "vesin")
"""Distributions that every result depends on, where they are installed."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def versions_of(job: Job) -> dict[str, str]:
    """Version by distribution name of what runs the job in this process: ncbench, :data:`ALWAYS`, its models' packages and what they need of torch."""
    names = set(ALWAYS)
    for request in (job.model, job.reference):
        if request is not None:
            for module in _modules(request):
                own = distributions_of(module)
                names.update(own, _built_on_torch(own))
    installed = {name: found for name in sorted(names) if (found := version(name)) is not None}
    return {"ncbench": __version__, **installed}


def _modules(request: ModelRequest) -> tuple[str, ...]:
    """The modules whose distributions compute the model."""
    parsed = parse_request(request)
    if parsed.factory:
        place = parsed.factory.rpartition(":")[0]
        return () if factories.file_of(place) is not None else (place,)
    if parsed.row is not None:
        return (parsed.row.package,) if parsed.row.package else ()
    suffix = Path(parsed.name).suffix
    family = reading(suffix)
    return () if family is None else (family.file_packages[suffix],)


def _built_on_torch(distributions: list[str]) -> set[str]:
    """The installed distributions that these need, directly or not, and that need torch themselves, such as e3nn or metatensor-torch."""
    found: set[str] = set()
    seen = set(distributions)
    waiting = list(distributions)
    while waiting:
        name = waiting.pop()
        needed = requirements_of(name)
        if "torch" in needed:
            found.add(name)
        waiting += needed - seen
        seen |= needed
    return found


def requirements_of(name: str) -> set[str]:
    """Names, in small letters, of what an installed distribution needs, extras left out; empty if it is not installed."""
    try:
        lines = metadata.requires(name) or ()
    except metadata.PackageNotFoundError:
        return set()
    return {match[0].lower() for line in lines if "extra ==" not in line and (match := _NAME.match(line))}


def version(name: str) -> str | None:
    """Of an installed distribution; ``None`` if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
