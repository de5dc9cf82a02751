"""Keep the heap's pages between model calls: a process setting for the command line, workers and benchmarks, never for a library import.

A model call allocates and frees large tensors. By default glibc maps each of them again and returns it to the kernel, and the page faults take up
to half of a call's time. :func:`keep_pages` tells glibc (``mallopt``) to take large blocks from the heap and to keep what is freed. The price is
memory that stays with the process: up to about twice the peak where batches are large (``benchmarks/bench_allocator.py`` measures both).
``NCBENCH_ALLOCATOR=system`` leaves the system's settings; so does any setting of the user's (``GLIBC_TUNABLES``, ``MALLOC_*``), and any other C library.
"""

from __future__ import annotations

import ctypes
import os

VARIABLE = "NCBENCH_ALLOCATOR"
SYSTEM, KEPT = "system", "pages kept"

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_LARGEST_INT = 2**31 - 1
_TOP_PAD_BYTES = 2**26
"""Taken from the kernel at a time."""

_policy = SYSTEM


def policy() -> str:
    """``pages kept`` or ``system``: what holds in this process, for the provenance of results."""
    return _policy


def keep_pages() -> str:
    """Apply the policy to this process, before large tensors are allocated; returns :func:`policy`. Repeated calls change nothing."""
    global _policy  # noqa: PLW0603  # a property of the process, like the setting itself
    if _policy == KEPT or os.environ.get(VARIABLE, "") == SYSTEM or not _is_glibc():
        return _policy
    if "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ):
        return _policy
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return _policy
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _LARGEST_INT), (_M_TOP_PAD, _TOP_PAD_BYTES))
    if all(mallopt(name, value) == 1 for name, value in settings):
        _policy = KEPT
    return _policy


def return_kept_pages() -> None:
    """Give free pages back to the system, where they are kept: a growth of the resident memory then measures what is allocated afterwards."""
    if _policy == KEPT:
        ctypes.CDLL(None).malloc_trim(0)


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, OSError, ValueError):  # no such function or name on this system
        return False
