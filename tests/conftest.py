"""Shared by all tests: marks that skip when the machine lacks something, and a separate cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest_plugins = ["memory_context", "tiny_family"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("models"):
        for package in mark.args:
            if find_spec(package) is None:
                install = mark.kwargs.get("install")
                pytest.skip(f"needs the package {package}" + (f": pip install '{install}'" if install else ""))
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty cache of downloads for the whole session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads and models of the developer must not influence tests."""
    monkeypatch.setenv("NCBENCH_CACHE_DIR", str(session_cache))
    monkeypatch.setenv("NCBENCH_MODELS", str(session_cache / "models.toml"))


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of 256 KiB, or of the size that the test is parametrized with."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root")
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={getattr(request, 'param', '256k')}", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("this machine does not let a test mount a disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)
