"""Small pieces of HTML. Everything that comes from a table is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def element(name: str, *content: str, **attributes: str) -> str:
    """``<name attributes>content</name>``; ``content`` is HTML already, attributes are texts. A trailing underscore is dropped."""
    marks = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{marks}>{''.join(content)}</{name}>"


def text(value: object) -> str:
    """A text as HTML."""
    return escape(str(value))


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str, numeric_from: int = 1, sortable: bool = True
) -> str:
    """A table in a container of its own, which scrolls where the page is too narrow. Cells are HTML already, headings texts."""
    cells = "".join(
        element("th", text(title), scope="col", class_="number" if number >= numeric_from else "")
        for number, title in enumerate(head)
    )
    body = "".join(
        element(
            "tr",
            "".join(
                element("td" if number else "th", cell, **_cell_marks(number, numeric_from))
                for number, cell in enumerate(row)
            ),
        )
        for row in rows
    )
    whole = element(
        "table",
        element("caption", text(caption)),
        element("thead", element("tr", cells)),
        element("tbody", body),
        class_="sortable" if sortable else "",
    )
    return element("div", whole, class_="scroll", role="region", tabindex="0", aria_label=caption)


def _cell_marks(number: int, numeric_from: int) -> dict[str, str]:
    if not number:
        return {"scope": "row"}
    return {"class_": "number"} if number >= numeric_from else {}


def section(title: str, *content: str, name: str) -> str:
    """A section with a heading that can be linked to."""
    return element("section", element("h2", text(title), id=name), *content)
