"""The table of isolated environments: what goes into each. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ncbench.errors import UsageError, did_you_mean

ENTRY_POINTS = "ncbench.environments"
"""Group in which an installed package offers an :class:`EnvironmentSpec` for its own models."""
CONSTRAINTS = Path(__file__).parent / "constraints"
SCHEME = 1
"""Version of how an environment is made: raising it makes every one of them outdated."""

BASE = (
    "torch>=2.6,<2.14",
    "ase>=3.23",
    "numpy>=1.26",
    "scipy>=1.11",
    "pandas>=2.2",
    "pyarrow>=15",
    "matplotlib>=3.8",
    "pooch>=1.8",
    "filelock>=3.13",
    "platformdirs>=4",
    "typer>=0.12",
    "rich>=13.7",
    # Not ncbench's own: neighbour lists are an order of magnitude faster with it.
    "vesin>=0.6.1,<0.7",
)
"""What ncbench itself imports: its source is not installed in an environment but lent to it."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec:
    """An environment as it is meant to be."""

    name: str
    """Letters and digits: it becomes part of a folder's name."""
    summary: str
    requirements: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    """Requirements put in place of what packages declare. Only uv can do that."""
    python: tuple[tuple[int, int], tuple[int, int] | None] = ((3, 11), None)
    """First version of Python that will do, and first that will not."""
    pins: str | None = None
    """Text of its constraints file, a bare ``name==version`` a line; ``None``: the file of its name in ncbench."""

    @property
    def constraints(self) -> str:
        """Text of the constraints file."""
        if self.pins is not None:
            return self.pins
        return (CONSTRAINTS / f"{self.name}.txt").read_text(encoding="utf-8")

    @property
    def digest(self) -> str:
        """Changes with whatever decides what is installed: a new digest is a new environment."""
        content = [SCHEME, self.requirements, self.overrides, self.python, sorted(pinned(self.constraints).items())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]

    @property
    def python_range(self) -> str:
        """As packaging writes it: ``>=3.11,<3.13``."""
        least, below = self.python
        return f">={least[0]}.{least[1]}" + ("" if below is None else f",<{below[0]}.{below[1]}")

    def takes_python(self, version: tuple[int, int]) -> bool:
        """This version of Python will do."""
        least, below = self.python
        return least <= version and (below is None or version < below)


def pinned(constraints: str) -> dict[str, str]:
    """Name → version of a constraints text."""
    lines = (line.partition("#")[0].strip() for line in constraints.splitlines())
    return {name: version for line in lines if line for name, _, version in [line.partition("==")]}


_BUILT_IN = (
    EnvironmentSpec(
        name="mace",
        summary="mace-torch, which pins e3nn 0.4.4",
        requirements=(*BASE, "mace-torch>=0.3.16,<0.4"),
    ),
    EnvironmentSpec(name="orb", summary="orb-models", requirements=(*BASE, "orb-models>=0.5.5,<0.6")),
    EnvironmentSpec(name="sevennet", summary="sevenn", requirements=(*BASE, "sevenn==0.13.*")),
    EnvironmentSpec(
        name="fairchem",
        summary="fairchem-core 2: eSEN and UMA",
        requirements=(*BASE, "fairchem-core>=2.24,<3"),
    ),
    EnvironmentSpec(
        name="equiformer",
        summary="fairchem-core 1: EquiformerV2 and eSEN-30M",
        requirements=(*BASE, "fairchem-core==1.10.*", "setuptools<81"),
        # It declares torch 2.4 and numpy 1; it runs with a later torch, needs scipy.special.sph_harm and pkg_resources.
        overrides=("torch>=2.6,<2.14", "numpy==1.26.4", "scipy<1.17", "setuptools<81"),
        # The last numpy 1 has no wheels for later ones.
        python=((3, 11), (3, 13)),
    ),
    EnvironmentSpec(
        name="pet",
        summary="metatomic and metatrain: exports and checkpoints of PET and SOAP-BPNN",
        requirements=(
            *BASE,
            "metatomic-torch>=0.1.17,<0.2",
            "metatomic-ase>=0.1.1,<0.2",
            "metatrain[soap-bpnn]==2026.4.*",
        ),
    ),
    EnvironmentSpec(
        name="upet",
        summary="upet: PET-MAD and its relatives",
        requirements=(*BASE, "upet>=0.3.1,<0.4", "metatomic-ase>=0.1.1,<0.2", "metatrain[soap-bpnn]==2026.4.*"),
    ),
)


@cache
def environments() -> Mapping[str, EnvironmentSpec]:
    """All environments by name: ours, then those of installed packages. A broken offer takes nothing from the others."""
    offered = {spec.name: spec for spec in _BUILT_IN}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            spec = entry.load()
        except (ImportError, AttributeError) as error:
            warnings.warn(f"The entry point '{entry.name}' of group {ENTRY_POINTS} fails: {error}.", stacklevel=2)
            continue
        if isinstance(spec, EnvironmentSpec):
            offered.setdefault(spec.name, spec)
    return MappingProxyType(offered)


def get(name: str) -> EnvironmentSpec:
    """The environment of this name.

    Raises:
        UsageError: there is none.
    """
    known = environments()
    if name not in known:
        hint = did_you_mean(name, known) or f"There are {', '.join(known)}."
        raise UsageError(f"There is no environment '{name}'.", hint=hint)
    return known[name]
