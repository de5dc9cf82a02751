"""What all tests share: marks that skip where the machine lacks something, and a home of their own for caches."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

pytest_plugins = ["tiny_family"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("models"):
        for package in mark.args:
            if find_spec(package) is None:
                pytest.skip(f"needs the package {package}")
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
    """What the developer once downloaded, or has models of, decides no test."""
    monkeypatch.setenv("NCBENCH_CACHE_DIR", str(session_cache))
    monkeypatch.setenv("NCBENCH_MODELS", str(session_cache / "models.toml"))
