"""Rewrite the constraints files of model families: ``python -m ncbench.run.environments.pins [ENVIRONMENT...]``; all of them by default.

uv resolves each environment's requirements to the newest compatible versions; only versions are written, without
the index or folder that they came from.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ncbench.errors import IsolatedEnvironmentError, NcbenchError, UsageError
from ncbench.run.environments.build import uv_program
from ncbench.run.environments.pip_settings import pip_settings, uv_environment
from ncbench.run.environments.table import EnvironmentSpec, environments, get


def resolve(spec: EnvironmentSpec) -> str:
    """The text of a constraints file.

    Raises:
        IsolatedEnvironmentError: uv is not installed, or the requirements contradict each other.
    """
    uv = uv_program()
    if uv is None:
        raise IsolatedEnvironmentError("Pins are resolved by uv, which is not installed.", hint="Run: pip install uv")
    # The running version, or the first that the environment supports.
    running = (sys.version_info.major, sys.version_info.minor)
    python = ".".join(map(str, running if spec.takes_python(running) else spec.python[0]))
    with tempfile.TemporaryDirectory() as folder:
        wanted, overrides = Path(folder, "requirements.txt"), Path(folder, "overrides.txt")
        wanted.write_text("\n".join(spec.requirements) + "\n", encoding="utf-8")
        overrides.write_text("\n".join(spec.overrides) + "\n", encoding="utf-8")
        command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python", sys.executable]
        done = subprocess.run(  # noqa: S603 - uv
            [*command, "--python-version", python, "--overrides", str(overrides), str(wanted)],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env=uv_environment(os.environ, pip_settings()),
        )
    if done.returncode != 0:
        raise IsolatedEnvironmentError(f"The requirements of '{spec.name}' do not resolve: {done.stderr.strip()}")
    # A local label such as +cpu names one build of a version.
    pins = [line.partition("+")[0].partition(" ")[0] for line in done.stdout.splitlines() if "==" in line]
    head = (
        f"# Versions the environment '{spec.name}' was tested with, on Python {python}. "
        f"Refresh: python -m {__spec__.name if __spec__ else __name__} {spec.name}"
    )
    return "\n".join([head, *pins]) + "\n"


def main(names: Sequence[str]) -> int:
    """Rewrite the files of the named environments, or of all, and return the exit code."""
    for name in names or environments():
        try:
            environment = get(name)
            if isinstance(environment.pins, Path):
                environment.pins.write_text(resolve(environment), encoding="utf-8")
                sys.stdout.write(f"wrote the pins of the environment '{name}'\n")
            elif names:
                raise UsageError(
                    f"The environment '{name}' has its pins as text, not in a file that could be rewritten."
                )
        except NcbenchError as error:
            sys.stderr.write(f"error: {error}\n")
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
