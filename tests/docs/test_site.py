"""The documentation: it builds without warnings, its links are valid, tutorials show the current output."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import ncbench
from ncbench.diagnostics import registry

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(DOCS))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        "-d",
        str(tmp_path / "doctrees"),
    ]
    done = subprocess.run(
        [*command, str(DOCS), str(tmp_path / "html")], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    for page in ("index", "tutorials/safe"):
        text = (tmp_path / "html" / f"{page}.html").read_text(encoding="utf-8")
        assert 'role="heading" aria-level="2"' in text
        assert not re.search(r'role="heading"(?! aria-level)|<pre>|<aside class="[^"]*">', text)
    commands = (tmp_path / "html" / "reference" / "commands.html").read_text(encoding="utf-8")
    for name in registry.diagnostics():
        assert f"ncbench {name}" in commands


def test_every_public_name_is_in_the_reference_with_its_own_docstring() -> None:
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    for name in ncbench.__all__:
        if name == "__version__":
            continue
        assert f"ncbench.{name}\n" in page, name
        assert len(inspect.getdoc(getattr(ncbench, name)) or "") > 40, name


def test_links_out_of_the_site_become_text() -> None:
    build_pages = script("build_pages")
    text = "[a](../results/README.md) [b](ci.md#limits) [c](https://x.org) ![d](e.svg) [f](../results/bench/md.md)"
    assert build_pages.with_links(text, DOCS, DOCS) == (
        "a [b](ci.md#limits) [c](https://x.org) ![d](e.svg) [f](bench/md.md)"
    )


def test_changed_text_of_an_output_is_detected_and_changed_digits_are_not() -> None:
    masked = script("run_tutorials").masked
    assert masked("λ  0.0302(6)  ok in 13.4 s") == masked("λ    0.0311(12) ok in 2 s")
    assert masked("λ 0.0302(6) nonzero") != masked("λ 0.0302(6) gradient")


def test_output_that_depends_on_a_time_limit_is_not_compared() -> None:
    masked = script("run_tutorials").masked
    page = "<!-- limited by time -->\n```console\n$ a\n{}\n```\n\n```console\n$ b\n{}\n```\n"
    assert masked(page.format("open", "c")) == masked(page.format("verified", "c"))
    assert masked(page.format("open", "c")) != masked(page.format("open", "d"))


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(path.stem for path in (DOCS / "tutorials").glob("*.md")))
def test_a_tutorial_prints_what_its_page_shows(page: str) -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "run_tutorials.py"), page, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
