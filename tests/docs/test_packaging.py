"""Recipe and container files name the version, the dependencies and the extras of ``pyproject.toml``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import ncbench

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGING = ROOT / "packaging"
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""Names on conda-forge, where they differ from those on PyPI."""


def _recipe() -> dict[str, dict[str, object]]:
    recipe: dict[str, dict[str, object]] = yaml.safe_load(
        (PACKAGING / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    )
    return recipe


def _split(requirement: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z0-9_.-]+?)\s*([<>=!~].*)?", requirement)
    assert match is not None, requirement
    return match[1], (match[2] or "").replace(" ", "")


def test_recipe_has_the_dependencies_of_the_project() -> None:
    declared = {CONDA_NAMES.get(name, name): bounds for name, bounds in map(_split, PROJECT["dependencies"])}
    run = dict(_split(text) for text in _recipe()["requirements"]["run"] if not text.startswith("python "))
    assert run == declared


def test_recipe_has_the_version_and_the_python_of_the_project() -> None:
    recipe = _recipe()
    assert recipe["context"]["version"] == ncbench.__version__
    assert f">={recipe['context']['python_min']}" == PROJECT["requires-python"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert recipe["about"]["summary"] == PROJECT["description"]
    (command, function), *_ = PROJECT["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [f"{command} = {function}"]


def test_containers_install_this_version_and_known_extras() -> None:
    for name in ("Containerfile", "ncbench.def"):
        text = (PACKAGING / name).read_text(encoding="utf-8")
        assert re.search(rf"(?i)version={re.escape(ncbench.__version__)}$", text, re.MULTILINE), name
        (extras,) = re.findall(r"ncbench\[([^]]+)\]", text)
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), name
