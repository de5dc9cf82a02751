"""Sphinx configuration: ``make docs`` builds the site with warnings as errors."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

import ncbench

sys.path.insert(0, str(Path(__file__).resolve().parent))

from accessible import rewrite
from build_pages import DOCS, make_pages, with_links

make_pages()


def setup(app: Sphinx) -> None:
    """Rewrite links of kept pages to files outside the site, as those of copied pages, and what the theme's HTML lacks for screen readers."""

    def read(_app: Sphinx, name: str, source: list[str]) -> None:
        source[0] = with_links(source[0], (DOCS / name).parent, (DOCS / name).parent)

    def finished(built: Sphinx, problem: Exception | None) -> None:
        if problem is None and built.builder.format == "html":
            rewrite(Path(built.outdir))

    app.connect("source-read", read)
    app.connect("build-finished", finished)


project = "ncbench"
author = "the ncbench developers"
release = version = ncbench.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = False
suppress_warnings = ["myst.xref_missing_external"]

html_theme = "furo"
html_title = "ncbench"
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"Atoms": "ase.Atoms"}
napoleon_google_docstring = True
