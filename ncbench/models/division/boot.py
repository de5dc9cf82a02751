"""Start of an interpreter that imports this ncbench from its source folder. Light imports only."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import ncbench


def command(python: str, module: str, *arguments: str) -> list[str]:
    """Command line of a process of an interpreter that calls ``main(*arguments)`` of a module of this ncbench.

    ncbench is made importable without its parent folder, which may contain all packages of this environment.
    """
    script = f"""
import importlib.util, sys
folder = sys.argv[1]
spec = importlib.util.spec_from_file_location("ncbench", folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules["ncbench"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["ncbench"])
from {module} import main
main(*sys.argv[2:])
"""
    source = str(Path(ncbench.__file__).resolve().parent)
    return [python, "-I", "-X", "faulthandler", "-c", script, source, *arguments]


def end_with(parent: int) -> None:
    """Let the kernel end this process with the thread that started it (Linux), also while a library holds the interpreter lock."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
