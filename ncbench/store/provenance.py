"""Provenance of a result: versions, machine, precision, request; without names of people, hosts and folders."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import ncbench
from ncbench import allocator
from ncbench.store.keys import plain

_PACKAGES = ("torch", "ase", "numpy", "scipy", "pandas", "pyarrow")


def collect(
    *,
    card: Any = None,
    settings: Any = None,
    seed: int | None = None,
    request: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
    started: datetime | None = None,
    ended: datetime | None = None,
    wall_s: float | None = None,
) -> dict[str, Any]:
    """Provenance of one job as plain JSON values.

    ``card`` is the model's card (a dataclass) or ``None`` if no model was loaded; ``versions`` are those that decide the result, by distribution; ``wall_s`` is from a monotonic clock, so
    it is correct even if the system time was changed between ``started`` and ``ended``.
    """
    return {
        "ncbench": ncbench.__version__,
        "git": dict(git_state()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cpu_count": os.cpu_count(),
        "allocator": allocator.policy(),
        "processes": 1 if card is None else card.processes,
        "packages": package_versions(),
        "versions": dict(versions or {}),
        "torch_state": torch_state(card.device if card is not None else "cpu"),
        "model_card": None if card is None else _card(card),
        "request": plain(request or {}),
        "settings": plain(settings),
        "seed": seed,
        "command_line": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started_utc": None if started is None else _utc(started),
        "ended_utc": None if ended is None else _utc(ended),
        "wall_s": wall_s,
    }


@cache
def git_state() -> Mapping[str, Any]:
    """Commit and whether tracked files differ from it, if ncbench runs from a checkout; else empty."""
    root = Path(ncbench.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return {}
    # --no-optional-locks: reading must not write the index, which another process may be using.
    command = ["git", "--no-optional-locks", "-C", str(root)]
    try:
        commit = _output([*command, "rev-parse", "HEAD"])
        changed = _output([*command, "status", "--porcelain", "--untracked-files=no"])
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "dirty": bool(changed)}


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603 - a fixed command
    return done.stdout.strip()


@cache
def cpu_model() -> str:
    """The processor's name as reported by the system."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def package_versions() -> dict[str, str]:
    """Installed versions of the packages used in the computation, read without importing them."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def torch_state(device: str) -> dict[str, Any]:
    """Threads, determinism, precision switches and device of torch, if it is already loaded; else empty."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    state: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "tf32_matmul": _tf32(torch.backends.cuda.matmul),
        "tf32_convolutions": _tf32(getattr(torch.backends.cudnn, "conv", torch.backends.cudnn)),
        "device": device,
    }
    if device.startswith("cuda") and torch.cuda.is_available():
        state["device_name"] = torch.cuda.get_device_name(device)
        state["cuda"] = torch.version.cuda
    return state


def _tf32(backend: Any) -> bool:
    """Whether TF32 is on. Newer torch uses ``fp32_precision`` and refuses the old name once the new one was used."""
    if hasattr(backend, "fp32_precision"):
        return str(backend.fp32_precision) == "tf32"
    return bool(backend.allow_tf32)


def _card(card: Any) -> dict[str, Any]:
    elements = card.elements
    return {
        name: sorted(elements) if name == "elements" and elements is not None else plain(value)
        for name, value in vars(card).items()
        if not isinstance(value, frozenset) or name == "elements"
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
