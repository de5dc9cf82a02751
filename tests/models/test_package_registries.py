"""Each name in the registry of an installed package gives a model, or one sentence on what to do; without network and caches.

Registries are the packages' own objects, not the tables that ncbench reads from their files.
"""

from __future__ import annotations

import importlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ncbench.errors import NcbenchError, UsageError, WeightsError
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import find
from ncbench.models.row import importable
from ncbench.models.trial import quiet_library
from ncbench.types import ModelRequest

pytestmark = [pytest.mark.models, pytest.mark.slow]


def _orb() -> list[str]:
    return list(importlib.import_module("orb_models.forcefield.pretrained").ORB_PRETRAINED_MODELS)


def _mace() -> list[str]:
    tables: Any = importlib.import_module("mace.calculators.foundations_models")
    mp = [key.removeprefix("mace-") for key in tables.mace_mp_urls]
    return [f"mace-{key}" for key in [*mp, *(f"off23-{key}" for key in tables.mace_off_urls), *tables.polar_model_urls]]


def _fairchem() -> list[str]:
    return list(importlib.import_module("fairchem.core").pretrained_mlip.available_models)


def _equiformer() -> list[str]:
    scatter: Any = importlib.import_module("ncbench.models.scatter")
    scatter.stand_in()
    return list(importlib.import_module("fairchem.core.models.model_registry").MODEL_REGISTRY.models)


def _upet() -> list[str]:
    return list(importlib.import_module("upet._version").UPET_AVAILABLE_MODELS)


def _sevennet() -> list[str]:
    return list(importlib.import_module("sevenn.util").get_available_pretrained_models())


def _chgnet() -> list[str]:
    """The package has no list: it loads what lies in its folder of weights."""
    folder = Path(str(importlib.import_module("chgnet").__file__)).with_name("pretrained")
    return [f"chgnet-{one.name}" for one in folder.iterdir() if one.is_dir()]


REGISTRIES: dict[str, tuple[str, Callable[[], list[str]], int]] = {
    "orb": ("orb_models", _orb, 19),
    "mace": ("mace", _mace, 15),
    "fairchem": ("fairchem.core.units", _fairchem, 10),
    "equiformer": ("fairchem.core.trainers", _equiformer, 15),
    "upet": ("upet", _upet, 10),
    "sevennet": ("sevenn", _sevennet, 9),
    "chgnet": ("chgnet", _chgnet, 3),
}
"""Family → its module, its registry, and the least number of names in it."""


def _no_network(*_arguments: Any, **_named: Any) -> Any:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.fixture(autouse=True)
def _new_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _no_network)
    # The hub's client repeats a request five times, with 23 s of waits in all, for each of the names.
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("family", REGISTRIES)
def test_every_name_gives_a_model_or_one_sentence(family: str) -> None:
    module, registry, least = REGISTRIES[family]
    if not importable(module):
        pytest.skip(f"needs {module}")
    with quiet_library():
        names = registry()
    assert len(names) >= least
    reached = addresses = loaded = 0
    for name in names:
        try:
            row = find(name)
        except UsageError as error:
            # A family that is not offered, or a model that its authors withdrew.
            _assert_one_sentence(name, error)
            continue
        assert row.family == family, name
        reached += 1
        for spec in [f"{name}:{mode}" for mode in row.modes]:
            try:
                forcefield = load_forcefield(ModelRequest(spec=spec, options=tuple(row.needed.items())))
                assert isinstance(forcefield, ForceField)
                loaded += 1
            except WeightsError as error:
                _assert_one_sentence(name, error)
                addresses += "https://" in f"{error} {error.hint}"
    assert reached >= least
    # Where there is no weights file on this machine, the sentence has its address.
    assert loaded + addresses >= reached - 1


def _assert_one_sentence(name: str, error: NcbenchError) -> None:
    text = str(error)
    assert "\n" not in text, name
    assert text.rstrip().endswith("."), (name, text)
    assert error.hint, name
