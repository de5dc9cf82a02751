"""Create and remove environments. One process creates an environment while others wait; leftovers of killed processes are removed.

uv installs by hard links from its cache, so that a second environment takes little more disk space than the differing packages. If uv is
not available, venv and pip are used, which copy files.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock, Timeout

import ncbench
from ncbench.errors import IsolatedEnvironmentError
from ncbench.run.environments import health, places
from ncbench.run.environments.disk import usage
from ncbench.run.environments.pip_settings import pip_settings, uv_environment
from ncbench.run.environments.places import Made
from ncbench.run.environments.table import EnvironmentSpec, environments

Say = Callable[[str], None]
"""Called with progress messages of a few words, at most several times per second."""

DIE_WITH_PARENT = (
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux':\n"
    "    ctypes.CDLL(None).prctl(1, 9)\n"
    "    if os.getppid() != int(sys.argv[1]): os._exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])"
)
"""Program that replaces itself by the command it is given. On Linux the kernel kills that command when ncbench dies, so that no installer
continues alone."""


def silent(_words: str) -> None:
    """A :data:`Say` that drops the messages."""


def create(spec: EnvironmentSpec, *, python: str | None = None, again: bool = False, say: Say = silent) -> Made:
    """Return the environment, creating it if it does not exist.

    Args:
        spec: its specification.
        python: interpreter to create it from, instead of this one.
        again: create it even if it exists.
        say: called with progress messages.

    Raises:
        IsolatedEnvironmentError: a package could not be installed or does not work; the message names the log.
    """
    with _locked(spec, say):
        _remove_leftovers(spec)
        existing = places.find(spec)
        if existing is not None and not again and (python is None or existing.mark.get("asked_python") == python):
            return existing
        building = places.root() / f".{spec.name}.{secrets.token_hex(4)}.building"
        try:
            _install(spec, building, python, say)
            say("checking it")
            checked = health.check(spec, places.interpreter(building))
            own, shared = usage(building)
            mark = {
                "ncbench": ncbench.__version__,
                "made_utc": datetime.now(UTC).isoformat(timespec="seconds"),
                "asked_python": python,
                "own_bytes": own,
                "shared_bytes": shared,
                **checked,
            }
            (building / places.MARK).write_text(json.dumps(mark, indent=1), encoding="utf-8")
            _put_in_place(building, places.folder(spec))
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        made = places.find(spec)
        assert made is not None
        return made


def remove(name: str, *, outdated_only: bool = False, say: Say = silent) -> list[Made]:
    """Remove all environments of a name, or those with earlier pins, and leftovers of killed builds. Returns what was removed."""
    spec = environments().get(name)
    removed = [one for one in places.made() if one.name == name]
    if outdated_only:
        removed = [one for one in removed if spec is None or one.folder != places.folder(spec)]
    with _locked(name if spec is None else spec, say):
        _remove_leftovers(name if spec is None else spec)
        for one in removed:
            # The mark is removed first, so that a killed removal leaves no folder that looks complete.
            (one.folder / places.MARK).unlink(missing_ok=True)
            shutil.rmtree(one.folder, ignore_errors=True)
    return removed


@contextmanager
def _locked(spec: EnvironmentSpec | str, say: Say) -> Iterator[None]:
    name = spec if isinstance(spec, str) else spec.name
    root = places.root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / f".{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say("another process is creating it; waiting")
            lock.acquire()
    except OSError as error:
        raise IsolatedEnvironmentError(
            f"The folder of environments {root} cannot be used: {error.strerror or error}.",
            hint=f"Set {places.ROOT_VARIABLE} to another folder.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _remove_leftovers(spec: EnvironmentSpec | str) -> None:
    """Remove unfinished folders. The caller holds the lock, so that no process is still filling them."""
    name = spec if isinstance(spec, str) else spec.name
    for leftover in places.root().glob(f".{name}.*.building"):
        shutil.rmtree(leftover, ignore_errors=True)
    for entry in places.root().glob(f"{name}-*"):
        if re.fullmatch(rf"{name}-[0-9a-f]{{12}}", entry.name) and not (entry / places.MARK).is_file():
            shutil.rmtree(entry, ignore_errors=True)


def _put_in_place(building: Path, place: Path) -> None:
    if place.exists():
        old = building.with_name(f".{building.name.split('.')[1]}.{secrets.token_hex(4)}.building")
        place.rename(old)
        building.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    else:
        building.rename(place)


def uv_program() -> str | None:
    """The uv that came with its package, or the one on the path."""
    if find_spec("uv") is not None:
        from uv import find_uv_bin

        try:
            return str(find_uv_bin())
        except FileNotFoundError:
            pass  # a package without its program
    return shutil.which("uv")


def _install(spec: EnvironmentSpec, building: Path, python: str | None, say: Say) -> None:
    log = places.root() / f"{spec.name}.log"
    log.write_text("", encoding="utf-8")
    uv = uv_program()
    running = (sys.version_info.major, sys.version_info.minor)
    if uv is not None:
        wanted = python or (sys.executable if spec.takes_python(running) else spec.python_range)
        environment = uv_environment(os.environ, pip_settings())
        # The active environment and its project must not influence this one.
        environment = {name: value for name, value in environment.items() if name not in ("VIRTUAL_ENV", "UV_PROJECT")}
        make = [uv, "venv", "--no-project", "--relocatable", "--python", wanted, str(building)]
        install = [uv, "pip", "install", "--python", str(places.interpreter(building))]
    else:
        if spec.overrides:
            raise IsolatedEnvironmentError(
                f"Only uv can create the environment '{spec.name}': its packages require contradicting versions.",
                hint="Run: pip install uv",
            )
        if python is None and not spec.takes_python(running):
            raise IsolatedEnvironmentError(
                f"The environment '{spec.name}' needs Python {spec.python_range}, and this is {running[0]}.{running[1]}.",
                hint=f"Name another one: ncbench env create {spec.name} --python PATH",
            )
        environment = dict(os.environ)
        make = [python or sys.executable, "-m", "venv", "--without-pip", str(building)]
        install = [sys.executable, "-m", "pip", "--python", str(places.interpreter(building)), "install"]
    try:
        _do(make, environment, spec, log, say)
    except IsolatedEnvironmentError as error:
        if python is not None or spec.takes_python(running):
            raise
        raise IsolatedEnvironmentError(
            f"The environment '{spec.name}' needs Python {spec.python_range}; uv found none that works and could fetch none.",
            hint=f"Name one: ncbench env create {spec.name} --python PATH. See {log}.",
        ) from error
    _refuse_python(spec, building)
    lists = {"-r": spec.requirements, "-c": spec.constraints.splitlines(), "--overrides": spec.overrides}
    for option, lines in lists.items():
        if lines:
            file = building / f"{option.strip('-')}.txt"
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
            install += [option, str(file)]
    if spec.requirements:
        _do(install, environment, spec, log, say)


def _refuse_python(spec: EnvironmentSpec, building: Path) -> None:
    text = (building / "pyvenv.cfg").read_text(encoding="utf-8")
    match = re.search(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", text, re.MULTILINE)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if not spec.takes_python(version):
        raise IsolatedEnvironmentError(
            f"The environment '{spec.name}' needs Python {spec.python_range}, and this is {version[0]}.{version[1]}.",
            hint="Name another one with --python.",
        )


def _do(command: list[str], environment: Mapping[str, str], spec: EnvironmentSpec, log: Path, say: Say) -> None:
    """Run an installer and report its output line by line.

    Raises:
        IsolatedEnvironmentError: it failed.
    """
    output: list[str] = []
    whole = [sys.executable, "-I", "-c", DIE_WITH_PARENT, str(os.getpid()), *command]
    with (
        log.open("a", encoding="utf-8") as kept,
        subprocess.Popen(  # noqa: S603 - uv or this Python's pip
            whole,
            env=dict(environment),
            # Settings of the user's projects must not apply.
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                kept.write(line)
                words = line.strip()
                if words:
                    output.append(words)
                    # Lines for single packages go only to the log.
                    if not words.startswith(("+ ", "Downloaded ")):
                        say(words)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise IsolatedEnvironmentError(
            f"The environment '{spec.name}' could not be created: {_reason(output, process.returncode)}",
            hint=f"See {log}.",
        )


def _reason(output: list[str], code: int) -> str:
    """The error message in an installer's output: three lines from the word error on, or the last line."""
    start = next((n for n, line in enumerate(output) if re.match(r"(error|×|ERROR)", line)), None)
    lines = output[-1:] if start is None else output[start : start + 3]
    text = " ".join(lines).removeprefix("error: ").removeprefix("ERROR: ")[:400].rstrip(".")
    return f"{text}." if text else f"the installer ended with exit code {code}."
