"""What the theme's pages lack for screen readers and keyboards, by the rules of axe-core."""

from __future__ import annotations

from pathlib import Path

REPLACED = (
    # A heading needs a level: the captions of the navigation are below the page's title.
    ('<p class="caption" role="heading">', '<p class="caption" role="heading" aria-level="2">'),
    # Landmarks of one kind need names.
    ('<aside class="sidebar-drawer">', '<aside class="sidebar-drawer" aria-label="All pages">'),
    ('<aside class="toc-drawer">', '<aside class="toc-drawer" aria-label="On this page">'),
    ('<aside class="toc-drawer no-toc">', '<aside class="toc-drawer no-toc" aria-label="On this page">'),
    # What scrolls must be reached by the keyboard.
    ("<pre>", '<pre tabindex="0">'),
    ('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'),
)


def accessible(page: str) -> str:
    """The HTML of a page with levels of headings, names of landmarks, and blocks of code that the keyboard can scroll."""
    for old, new in REPLACED:
        page = page.replace(old, new)
    return page


def rewrite(folder: Path) -> None:
    """Rewrite the pages below a folder; what was rewritten stays as it is."""
    for path in folder.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        changed = accessible(page)
        if changed != page:
            path.write_text(changed, encoding="utf-8")
