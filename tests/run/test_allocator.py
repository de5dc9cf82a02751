"""Freed large blocks stay with the process unless the user configured the allocator."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

ON_GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")

SCRIPT = """
import resource, sys
import numpy as np
from ncbench import allocator
if sys.argv[1] == "keep":
    allocator.keep_pages()
    allocator.keep_pages()
def touch():
    np.ones(4_000_000)  # 32 MB
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    touch()
print(allocator.policy(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, sep=";")
"""


def run(mode: str, **environment: str) -> tuple[str, int]:
    inherited = {
        name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES" and not name.startswith("MALLOC_")
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode],
        capture_output=True,
        text=True,
        check=True,
        env={**inherited, **environment},
    )
    policy, faults = done.stdout.strip().split(";")
    return policy, int(faults)


@ON_GLIBC
def test_page_faults_of_repeated_large_blocks_are_gone() -> None:
    # 32 MB are 7813 pages of 4 kB, or 16 huge pages where the kernel gives them; ten newly mapped blocks fault at each page.
    policy, kept = run("keep")
    assert policy == "pages kept"
    assert kept < 20
    policy, fresh = run("leave")
    assert policy == "system"
    assert fresh >= 100


@ON_GLIBC
@pytest.mark.parametrize(
    ("name", "value"),
    [("NCBENCH_ALLOCATOR", "system"), ("GLIBC_TUNABLES", "glibc.malloc.top_pad=131072"), ("MALLOC_TOP_PAD_", "131072")],
)
def test_allocator_settings_of_the_user_are_kept(name: str, value: str) -> None:
    assert run("keep", **{name: value})[0] == "system"


@ON_GLIBC
def test_kept_pages_do_not_hide_what_a_call_allocates() -> None:
    """100 MB are freed and allocated again: the growth of the resident memory is 100 MB, not what the kept pages leave of it."""
    script = """
import numpy as np, torch
from ncbench import allocator, memory
assert allocator.keep_pages() == allocator.KEPT
def blocks():
    return [np.ones(125_000) for _ in range(100)]
held = blocks()
wall = np.ones(1000)
del held
plain = memory.resident()
held = blocks()
hidden = memory.resident() - plain
del held
before = memory.before_allocating(torch.device("cpu"))
held = blocks()
print(hidden, memory.resident() - before)
"""
    environment = {
        name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES" and not name.startswith("MALLOC_")
    }
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    hidden, seen = map(int, done.stdout.split())
    assert hidden < 20e6
    assert 90e6 < seen < 120e6
