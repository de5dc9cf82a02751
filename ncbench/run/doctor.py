"""Description of this installation and its problems, for ``ncbench doctor`` and bug reports. Nothing is changed or downloaded."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ncbench
from ncbench import allocator
from ncbench.cache_folder import cache_dir
from ncbench.models import family as families
from ncbench.models import user_models
from ncbench.run.environments import places, table
from ncbench.run.environments.disk import readable
from ncbench.run.versions import requirements_of, version
from ncbench.store.keys import distributions_of
from ncbench.store.provenance import cpu_model, git_state
from ncbench.structures import download

VARIABLES = re.compile(
    r"NCBENCH_|OMP_|MKL_|OPENBLAS_NUM|CUDA_VISIBLE|PYTORCH_|HF_|HUGGINGFACE_|FAIRCHEM_|TORCH_|GLIBC_TUNABLES|MALLOC_|XDG_|UV_|PIP_|"
    r"(https?|no|all)_proxy$|SSL_CERT|REQUESTS_CA",
    re.IGNORECASE,
)
"""Environment variables that change the behaviour of ncbench or a model's package."""
SECRET = re.compile(r"TOKEN|KEY|PASSWORD|SECRET", re.IGNORECASE)
MUCH_DISK = 5e9
"""Free bytes below which an environment of a model family does not fit."""
LEAST_MEMORY = 4e9
"""Bytes of memory below which the smaller families do not load."""


@dataclass
class Findings:
    """Facts by section, and problems."""

    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """Sentences with a problem and its remedy."""


def examine() -> Findings:
    """Inspect versions, processor, devices, environments, folders and variables. Imports torch."""
    findings = Findings()
    for title, part in _PARTS:
        findings.sections[title] = dict(part(findings.problems))
    return findings


def _versions(problems: list[str]) -> Iterator[tuple[str, str]]:
    git = git_state()
    commit = f", commit {git['commit'][:10]}{' with changes' if git['dirty'] else ''}" if git else ""
    yield "ncbench", f"{ncbench.__version__}{commit}"
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield "system", platform.platform()
    # Run from a folder of sources that was never installed, ncbench has no list of requirements.
    for name in sorted(requirements_of("ncbench") or ("torch", "ase", "numpy", "scipy")):
        installed = version(name)
        yield name, installed or "missing"
        if installed is None:
            problems.append(f"The package '{name}' is not installed. Run: pip install --force-reinstall ncbench")


def _machine(problems: list[str]) -> Iterator[tuple[str, str]]:
    yield "processor", f"{cpu_model()}, {os.cpu_count()} logical cores"
    memory = _memory()
    if memory is not None:
        yield "memory", readable(memory)
        if memory < LEAST_MEMORY:
            problems.append(f"Memory is {readable(memory)}: larger model families will not load.")
    yield (
        "freed memory",
        "kept by the process" if allocator.keep_pages() == allocator.KEPT else "returned to the system",
    )
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        yield "torch", f"does not load: {error}"
        problems.append("torch does not load, so that no model runs. Run: pip install --force-reinstall 'torch<2.14'")
        return
    yield "threads of torch", str(torch.get_num_threads())
    if not torch.cuda.is_available():
        built = torch.version.cuda
        yield "CUDA", f"no device (torch is built for CUDA {built})" if built else "no device (torch is a CPU build)"
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}", f"{properties.name}, {readable(properties.total_memory)}, CUDA {torch.version.cuda}"


def _memory() -> float | None:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return None


def _families(problems: list[str]) -> Iterator[tuple[str, str]]:
    for name, one in families.families().items():
        rows = [row for row in one.rows if row.package]
        if not rows:
            continue
        row = rows[0]
        if row.installed():
            yield name, ", ".join(["runs here", *(f"{one} {version(one)}" for one in distributions_of(row.package))])
        elif row.environment:
            state = places.state(table.get(row.environment))
            yield name, f"environment '{row.environment}': {state}"
            if state == "broken":
                problems.append(
                    f"The Python of the environment '{row.environment}' is gone. Run: ncbench env create {row.environment} --again"
                )
        else:
            yield name, f"not installed; run: {row.how_to_install()}" if row.how_to_install() else "not installed"


def _folders(problems: list[str]) -> Iterator[tuple[str, str]]:
    mirror = os.environ.get(download.MIRROR_VARIABLE)
    known = {
        "environments": places.root(),
        "downloaded data": cache_dir(),
        "own models": user_models.path().parent,
    }
    if mirror:
        known["data mirror"] = Path(mirror).expanduser()
        if not known["data mirror"].is_dir():
            problems.append(f"{download.MIRROR_VARIABLE} names '{mirror}', which is not a folder.")
    for name, folder in known.items():
        yield name, f"{_short(folder)} ({_state(folder, name, problems)})"
    locks = sorted(places.root().glob(".*.building")) if places.root().is_dir() else []
    if locks:
        yield "unfinished environments", str(len(locks))
        problems.append(
            f"{len(locks)} unfinished environments are left by interrupted installations. If none runs now: ncbench env remove --all"
        )


def _state(folder: Path, name: str, problems: list[str]) -> str:
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if name != "data mirror" and not os.access(there, os.W_OK):
        problems.append(f"The folder for {name}, '{folder}', cannot be written.")
        return "cannot be written"
    free = shutil.disk_usage(there).free
    if name == "environments" and free < MUCH_DISK:
        problems.append(
            f"'{there}' has {readable(free)} free: an environment of a model family may not fit. {places.ROOT_VARIABLE} names another folder."
        )
    return f"{'' if folder.exists() else 'not made yet, '}{readable(free)} free"


def _short(folder: Path) -> str:
    """The path with ``~`` for the home folder: a report must not contain the user's name."""
    home = Path.home()
    return f"~/{folder.relative_to(home)}" if folder.is_relative_to(home) else str(folder)


def _variables(problems: list[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(os.environ):
        if VARIABLES.match(name):
            value = os.environ[name]
            # Reports are published: they must contain neither tokens nor proxy passwords.
            yield name, "(set, not shown)" if SECRET.search(name) else re.sub(r"//[^/@\s]+@", "//…@", value)
    if sys.flags.optimize:
        problems.append("Python runs with -O, which removes the checks in model packages.")


_PARTS: tuple[tuple[str, Callable[[list[str]], Iterator[tuple[str, str]]]], ...] = (
    ("versions", _versions),
    ("machine", _machine),
    ("model families", _families),
    ("folders", _folders),
    ("variables", _variables),
)


def as_json(findings: Findings) -> dict[str, Any]:
    """The findings as plain JSON values."""
    return {"sections": findings.sections, "problems": findings.problems}
