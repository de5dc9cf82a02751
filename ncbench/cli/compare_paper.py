"""``ncbench paper``: the paper's tables, and their comparison with results."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from ncbench.cli import complete
from ncbench.cli.characters import print_json
from ncbench.cli.consoles import table_console
from ncbench.cli.options import JsonOption
from ncbench.errors import UsageError

if TYPE_CHECKING:
    from ncbench.paper.overview import Overview

app = typer.Typer(no_args_is_help=True, help="The paper's tables, and their comparison with results.")
StandInOption = Annotated[
    list[str] | None,
    typer.Option(
        "--as",
        metavar="PAPER=NAME:MODE",
        help="Use one of your models instead of one of the paper's, such as soap-bpnn-nc=mine:direct; repeat it.",
    ),
]
FoldersArgument = Annotated[
    list[str],
    typer.Argument(metavar="DIR...", help="Results folders; a number is taken from the first that knows its error."),
]
TableName = Annotated[
    str, typer.Argument(metavar="TABLE", help="A name from `ncbench paper list`.", autocompletion=complete.paper_tables)
]


@app.command("list")
def paper_list(as_json: JsonOption = False) -> None:
    """The tables of the paper, and the numbers quoted in its text."""
    from ncbench.paper import numbers

    tables = [numbers.table(name) for name in numbers.names()]
    rows = [
        {
            "table": table.name,
            "numbers": str(sum(cell.printed.value is not None for cell in table.cells)),
            "measured by": ", ".join(dict.fromkeys(c.selection.table for c in table.cells if not c.selection.none)),
            "place": table.place,
            "title": table.title,
        }
        for table in tables
    ]
    if as_json:
        _json(rows)
        return
    shown = _table()
    for heading in rows[0]:
        shown.add_column(heading, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(text) for text in row.values()))
    table_console().print(shown)


@app.command("show")
def paper_show(name: TableName, as_json: JsonOption = False) -> None:
    """One table of the paper, with its conditions.

    Example:
        ncbench paper show table8
    """
    from ncbench.paper import numbers
    from ncbench.paper.compare import compare, counterparts

    table = numbers.table(name)
    if as_json:
        cells = compare(table, {}, counterparts()).cells
        _json(
            [
                {
                    key: value
                    for key, value in cell.row().items()
                    if key.startswith(("table", "cell", "paper", "quantity", "unit"))
                }
                for cell in cells
            ]
        )
        return
    from ncbench.paper.grid import grid

    contents = grid(compare(table, {}, counterparts()))
    shown = _table()
    for number, heading in enumerate(contents.head):
        if number != contents.numeric_from - 1:
            shown.add_column(heading, justify="right" if number >= contents.numeric_from else "left", overflow="fold")
    for line in contents.lines[::2]:
        shown.add_row(*(Text(e.text) for number, e in enumerate(line) if number != contents.numeric_from - 1))
    console = table_console()
    console.print(Text(contents.caption, style="bold"))
    console.print(shown)
    common = [set(cell.conditions.known().items()) for cell in table.cells]
    for key, value in sorted(set.intersection(*common)):
        console.print(Text(f"{key} = {value}"))
    for note in table.notes:
        console.print(Text(note))


@app.command("compare")
def paper_compare(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TABLE", help="A name from `ncbench paper list`, or all.", autocompletion=complete.targets
        ),
    ],
    results: FoldersArgument,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="DIR", help="Write paper-TABLE.csv, .parquet, .md and .tex there."),
    ] = None,
    stand_in: StandInOption = None,
    as_json: JsonOption = False,
) -> None:
    """Results compared with the paper's: both errors, the deviation if the model is the same, and the differences.

    Every number of the paper is listed: measured, or not run with the reason.

    Examples:
        ncbench paper compare table8 ncbench-results

        ncbench paper compare all results/laptop results/training/laptop --out beside-the-paper
    """
    from ncbench.paper import numbers
    from ncbench.paper.compare import compare, counterparts, require_results, sources_of, write
    from ncbench.paper.overview import count_table
    from ncbench.paper.stand_ins import require

    tables = [numbers.table(key) for key in (numbers.names() if name == "all" else (name,))]
    replaced = stand_ins(stand_in or ())
    standing = counterparts(replaced)
    require_results([Path(one) for one in results])
    require(replaced, [Path(one) for one in results])
    sources = sources_of([Path(one) for one in results], tables)
    comparisons = [compare(table, sources, standing) for table in tables]
    overview = count_table(comparisons)
    if as_json:
        _json([cell.row() for comparison in comparisons for cell in comparison.cells])
    else:
        from ncbench.paper.terminal import show

        for comparison in comparisons:
            show(comparison, table_console())
        if len(comparisons) > 1:
            _show(overview)
    if out is not None:
        for comparison in comparisons:
            written = write(comparison, Path(out))
            if not as_json:
                sys.stdout.write(f"written: {', '.join(map(str, written.values()))}\n")
        if len(comparisons) > 1:
            overview.write(Path(out))


@app.command("claims")
def paper_claims(
    results: FoldersArgument,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Write paper-claims.csv and .md there.")
    ] = None,
    stand_in: StandInOption = None,
    as_json: JsonOption = False,
) -> None:
    """The paper's main claims, each with our numbers and whether they agree.

    A claim is decided by three standard errors; a number whose error is not known decides nothing.

    Examples:
        ncbench paper claims ncbench-results

        ncbench paper claims results/paper results/laptop results/training/laptop
    """
    from ncbench.paper.compare import counterparts, require_results
    from ncbench.paper.overview import claim_table, survey
    from ncbench.paper.stand_ins import require

    replaced = stand_ins(stand_in or ())
    standing = counterparts(replaced)
    require_results([Path(one) for one in results])
    require(replaced, [Path(one) for one in results])
    surveyed = survey([Path(one) for one in results], standing)
    overview = claim_table(surveyed.answers)
    if as_json:
        _json(list(overview.rows))
    else:
        from ncbench.paper.terminal import show_claims

        show_claims(surveyed.answers, overview, table_console())
    if out is not None:
        written = overview.write(Path(out))
        if not as_json:
            sys.stdout.write(f"written: {', '.join(map(str, written.values()))}\n")


def _show(overview: Overview) -> None:
    shown = _table()
    for heading in overview.head:
        shown.add_column(Text(heading), overflow="fold")
    for texts in overview.lines:
        shown.add_row(*map(Text, texts))
    console = table_console()
    console.print(Text(overview.caption, style="bold"))
    console.print(shown)
    for note in overview.notes:
        console.print(Text(note))


def stand_ins(texts: Sequence[str]) -> dict[str, str]:
    """The parsed values of ``--as``.

    Raises:
        UsageError: a text that is not PAPER=NAME:MODE.
    """
    replaced = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"'{text}' is not PAPER=NAME:MODE.", hint="Such as soap-bpnn-nc=mine:direct.")
        replaced[key] = value
    return replaced


def _json(content: object) -> None:
    print_json(content)


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
