"""How much memory there is and how much is in use, bytes."""

from __future__ import annotations

import os
from pathlib import Path

import torch

GIB = 2**30


def resident() -> int:
    """What this process holds; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def in_use(device: torch.device) -> int:
    """What is taken on the device by this process."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else resident()


def available(device: torch.device) -> int | None:
    """What the device still has to give; ``None`` where the system does not tell."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return None
