"""A model family with its own isolated environment, made offline in a second from a wheel written by this module.

The wheel lends the environment this interpreter's packages through a ``.pth`` file, so that nothing is downloaded; all else is
the real thing: uv, pins, find-links from pip's settings, entry points, workers.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import zipfile
from pathlib import Path

import pytest

from ncbench.models import registry
from ncbench.run.environments import build, places, table

OFFER = """
from ncbench.models.environment import EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.row import ModelRow
from ncbench.types import ForceMode

FAMILY = Family(
    name="tinyfamily",
    adapter="tinyfamily.model",
    rows=(
        ModelRow(
            name="tiny-solenoidal",
            family="tinyfamily",
            modes=(ForceMode.DIRECT,),
            summary="analytic-solenoidal in an environment of its own",
            package="tinyfamily",
            environment="tinyfamily",
            weights="in package",
            options={"do": "misbehaviour", "trace": "file that hears of every loading"},
        ),
    ),
    environment=EnvironmentSpec(
        name="tinyfamily", summary="tests", requirements=("tinyfamily",), pins="tinyfamily==1.0"
    ),
)
"""

MODEL = """
import ctypes
import os
import signal
import sys
import time
import warnings
from dataclasses import replace

from ncbench.errors import UnsupportedError, UntrustedCheckpointError, UsageError
from ncbench.models.families.analytic.adapter import analytic_field


def load(request, parsed, row):
    options = dict(request.options)
    what, trace = options.pop("do", ""), options.pop("trace", "")
    if trace:
        with open(trace, "a") as stream:
            print(os.getpid(), file=stream)
    if what == "refuse":
        raise UsageError("tiny-solenoidal was asked to refuse.", hint="Do not ask.")
    if what == "refuse-checkpoint":
        raise UntrustedCheckpointError("tiny-solenoidal was asked to refuse.", hint="Do not ask.")
    plain = replace(request, options=tuple(options.items()))
    found = analytic_field(plain, "analytic-solenoidal", row.modes[0])
    found.card = replace(found.card, name=row.name, family="tinyfamily")
    bind = found._bind

    def misbehave(structures):
        # The check of the environment comes with two atoms without sites.
        if len(structures[0]) == 2:
            structures = [one.copy() for one in structures]
            for one in structures:
                one.set_array("sites", one.positions + 0.1)
        if what == "talk":
            print("}{ not a message")
            os.write(1, b"native chatter\\n")
            warnings.warn("a library's warning")
        if what == "segfault":
            ctypes.string_at(0)
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "exit":
            sys.exit(3)
        if what == "raise":
            raise RuntimeError("the kernel fell over")
        if what == "unsupported":
            raise UnsupportedError("tiny-solenoidal does not know Ar.")
        if what == "sleep":
            open(trace + ".asleep", "w").close()
            time.sleep(600)
        return bind(structures)

    found._bind = misbehave
    return found
"""

ENTRY_POINTS = "[ncbench.families]\ntinyfamily = tinyfamily_offer:FAMILY\n"


def write_offer(folder: Path) -> None:
    """Entry points of an installed package: a row and an environment, not the family itself."""
    info = folder / "tinyfamily_offer-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "tinyfamily_offer.py").write_text(OFFER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tinyfamily-offer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)


def write_wheel(folder: Path) -> None:
    """The family's package, with the row, and this interpreter's packages."""
    borrowed = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    info = "tinyfamily-1.0.dist-info"
    files = {
        "tinyfamily/__init__.py": "",
        "tinyfamily/model.py": MODEL,
        "tinyfamily_offer.py": OFFER,
        "tinyfamily_borrowed.pth": "\n".join(borrowed) + "\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tinyfamily\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": ENTRY_POINTS,
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text.encode())}\n" for name, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "tinyfamily-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="session")
def tiny_offer(tmp_path_factory):
    """Folder with ``offer`` (to be importable here) and ``wheels``."""
    folder = tmp_path_factory.mktemp("tinyfamily")
    write_offer(folder / "offer")
    write_wheel(folder / "wheels")
    return folder


@pytest.fixture
def tiny_home(tiny_offer, monkeypatch, tmp_path):
    """The family is registered in this process and its children, without its environment. Returns its spec."""
    _offered(tiny_offer, monkeypatch)
    monkeypatch.setenv(places.ROOT_VARIABLE, str(tmp_path / "environments"))
    yield table.get("tinyfamily")
    _forget()


@pytest.fixture(scope="session")
def _tiny_root(tiny_offer):
    with pytest.MonkeyPatch.context() as patch:
        _offered(tiny_offer, patch)
        patch.setenv(places.ROOT_VARIABLE, str(tiny_offer / "environments"))
        build.create(table.get("tinyfamily"))
    _forget()
    return tiny_offer / "environments"


@pytest.fixture
def tiny_environment(_tiny_root, tiny_home, monkeypatch):
    """The family is registered and its environment exists, the same for the whole session. Returns its spec."""
    monkeypatch.setenv(places.ROOT_VARIABLE, str(_tiny_root))
    return tiny_home


def _offered(folder: Path, patch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        patch.delenv(name)
    patch.setenv("PIP_CONFIG_FILE", os.devnull)
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(folder / "wheels"))
    patch.setenv("UV_CACHE_DIR", str(folder / "uv-cache"))
    patch.delenv("NCBENCH_AUTO_ENV", raising=False)
    patch.setenv("PYTHONPATH", os.pathsep.join([str(folder / "offer"), os.environ.get("PYTHONPATH", "")]))
    patch.syspath_prepend(str(folder / "offer"))
    _forget()


def _forget() -> None:
    registry.forget()
    table.environments.cache_clear()
