"""Pages of the site that are made at every build and not kept: commands, and texts from elsewhere in the repository, with links that fit the site."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from write_commands import OUT, text

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BENCH = ROOT / "results" / "bench"
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
"""A link to a file: its text, path and anchor. Not a picture."""


def make_pages() -> None:
    """Write the pages of commands, contributing, changelog and benchmark results."""
    OUT.write_text(text(), encoding="utf-8")
    _copy(ROOT / "CONTRIBUTING.md", DOCS / "contributing.md")
    _copy(ROOT / "CHANGELOG.md", DOCS / "changelog.md")
    folder = DOCS / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # Readings are included in the page of their benchmark.
    pages = [page for page in sorted(BENCH.glob("*.md")) if not page.stem.endswith("_reading")]
    for page in pages:
        _copy(page, folder / page.name)
    for picture in BENCH.glob("*.svg"):
        shutil.copy(picture, folder / picture.name)
    names = "\n".join(page.stem for page in pages)
    head = "# Speed, coverage and reliability\n\nMeasured by the scripts in `benchmarks/`; each page states its conditions.\n"
    (folder / "index.md").write_text(f"{head}\n```{{toctree}}\n{names}\n```\n", encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.write_text(with_links(source.read_text(encoding="utf-8"), source.parent, target.parent), encoding="utf-8")


def with_links(content: str, source: Path, target: Path) -> str:
    """Links relative to the folder ``source`` made relative to ``target``; of those that leave the site the text is left."""

    def rewritten(link: re.Match[str]) -> str:
        path = (source / link[2]).resolve()
        place = DOCS / "bench" / path.name if path.parent == BENCH else path
        if not (place.is_relative_to(DOCS) and path.exists()):
            return link[1]
        return f"[{link[1]}]({os.path.relpath(place, target)}{link[3] or ''})"

    return LINK.sub(rewritten, content)
