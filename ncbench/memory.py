"""Available and used memory, bytes."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from ncbench import allocator

GIB = 2**30


def resident() -> int:
    """Resident memory of this process; 0 if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def in_use(device: torch.device) -> int:
    """Memory of this process on the device."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else resident()


def before_allocating(device: torch.device) -> int:
    """:func:`in_use` before a call whose memory is measured: free pages that the allocator keeps are returned first, since their use would not show."""
    if device.type == "cpu":
        allocator.return_kept_pages()
    return in_use(device)


def total(device: torch.device) -> int | None:
    """Memory that the device has, of a machine the physical memory; ``None`` if the system does not report it. Unlike free memory it is the same at every call."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return _meminfo("MemTotal:")


def available(device: torch.device) -> int | None:
    """Free memory of the device; ``None`` if the system does not report it."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return _meminfo("MemAvailable:")


def _meminfo(entry: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(entry):
            return 1024 * int(line.split()[1])
    return None
