"""Tables over all of the paper's tables: the claims with our evidence, and how many cells have a number. Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncbench.errors import StoreError
from ncbench.paper import numbers
from ncbench.paper.claims import Answer, Verdict, answers, quantities
from ncbench.paper.compare import MEASURED, Comparison, State, compare, sources_of
from ncbench.paper.markdown import line
from ncbench.paper.missing import Missing, missing
from ncbench.paper.selecting import Counterparts
from ncbench.statistics.intervals import SIGMAS

CLAIMS, COUNTS = "claims", "counts"
CLAIM_NOTE = (
    f"A check holds or fails if {SIGMAS:g} standard errors lie between its number and the limit. Errors in brackets, one standard error in the last "
    "digits; '?' a lower bound, which decides nothing. In ratios and differences the errors of numbers from one run, which may be correlated, are added, and "
    "those of different runs are added in quadrature. 'paper' is the same number from what the paper prints, of its own models."
)
COUNT_NOTE = (
    "Same model: the paper's own weights. Exploded: the simulation ended so, which is a result. Of those not measured: for want of weights that come with no "
    "package and that no recipe here makes, or of time; the rest are values of a formula."
)
CLAIM_COLUMNS = (
    "claim", "place", "text", "verdict", "check", "rule", "limit", "value", "error", "error_is_bound", "unit", "paper_value", "answer",
    "reason", "models", "command",
)  # fmt: skip
COUNT_COLUMNS = (
    "table",
    "numbers",
    "same_model",
    "different_model",
    "exploded",
    "not_measured",
    "for_weights",
    "for_time",
    "title",
)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """All of the paper's tables with ours, and its claims."""

    comparisons: tuple[Comparison, ...]
    answers: tuple[Answer, ...]


def survey(folders: Sequence[Path], standing: Counterparts) -> Survey:
    """Tables and claims from results folders: the first that knows the error of a number, otherwise the first that has it, is used.

    Raises:
        UsageError: no such folder.
        StoreError: a table that cannot be read.
    """
    tables = [numbers.table(name) for name in numbers.names()]
    sources = sources_of(folders, tables, [quantity.selection.table for quantity in quantities().values()])
    comparisons = [compare(table, sources, standing) for table in tables]
    return Survey(comparisons=tuple(comparisons), answers=tuple(answers(comparisons, sources)))


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A table of texts, and the same as data."""

    name: str
    caption: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    """Of :attr:`rows`."""
    rows: tuple[dict[str, Any], ...]

    def markdown(self) -> str:
        """Heading, table and notes."""
        texts = [f"## {self.caption}", "", line(self.head), line(["---"] * len(self.head), escape=False)]
        texts += [line(one) for one in self.lines]
        return "\n".join([*texts, "", *(f"{note}  " for note in self.notes)]) + "\n"

    def csv(self) -> str:
        """One row per check or table of the paper, absent values empty."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    def write(self, folder: Path) -> dict[str, Path]:
        """Write ``paper-NAME.csv`` and ``.md`` into ``folder``; returns the files by suffix.

        Raises:
            StoreError: the folder cannot be written.
        """
        contents = {"csv": self.csv(), "md": self.markdown()}
        written = {suffix: folder / f"paper-{self.name}.{suffix}" for suffix in contents}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for suffix, path in written.items():
                path.write_text(contents[suffix], encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"The table cannot be written to '{folder}': {error.strerror}.", hint="Choose another --out."
            ) from error
        return written


def claim_table(answered: Sequence[Answer]) -> Overview:
    """The claims, one line each: verdict, evidence and command."""
    lines = tuple(
        (
            str(place),
            one.claim.text,
            one.claim.place,
            str(one.verdict),
            "; ".join(check.text for check in one.checks),
            one.claim.command,
        )
        for place, one in enumerate(answered, 1)
    )
    verdicts = Counter(one.verdict for one in answered)
    sentence = f"{len(answered)} claims; {', '.join(f'{one}: {verdicts[one]}' for one in Verdict if verdicts[one])}."
    return Overview(
        name=CLAIMS,
        caption="What the paper claims, and what is measured here",
        head=("", "the paper's claim", "place", "verdict", "evidence", "command"),
        lines=lines,
        notes=(sentence, CLAIM_NOTE),
        columns=CLAIM_COLUMNS,
        rows=tuple(_claim_rows(answered)),
    )


def _claim_rows(answered: Iterable[Answer]) -> Iterable[dict[str, Any]]:
    for one in answered:
        for check in one.checks:
            values = (
                one.claim.key, one.claim.place, one.claim.text, str(one.verdict), check.check.says, check.check.rule, check.check.limit,
                check.value, check.error, check.loose if check.value is not None else None, check.unit, check.paper,
                str(check.verdict), check.reason, " ".join(check.models), one.claim.command,
            )  # fmt: skip
            yield dict(zip(CLAIM_COLUMNS, values, strict=True))


def count_table(comparisons: Sequence[Comparison]) -> Overview:
    """How many numbers of each table of the paper have one of ours, by model."""
    rows = [_counts(one) for one in comparisons]
    numeric = COUNT_COLUMNS[1:-1]
    total = {"table": "all", "title": "", **{name: sum(row[name] for row in rows) for name in numeric}}
    return Overview(
        name=COUNTS,
        caption="Numbers of the paper with one of ours",
        head=(
            "table",
            "numbers",
            "same model",
            "different model",
            "exploded",
            "not measured",
            "for want of weights",
            "of time",
            "what",
        ),
        lines=tuple(tuple(str(row[name]) for name in COUNT_COLUMNS) for row in [*rows, total]),
        notes=(COUNT_NOTE,),
        columns=COUNT_COLUMNS,
        rows=(*rows, total),
    )


def _counts(comparison: Comparison) -> dict[str, Any]:
    printed = [cell.state for cell in comparison.cells if cell.state is not State.NOT_PRINTED]
    lacking = Counter(missing(cell) for cell in comparison.cells)
    same = sum(state in MEASURED and state is not State.DIFFERENT for state in printed)
    values = (
        comparison.table.name, len(printed), same, printed.count(State.DIFFERENT), printed.count(State.EXPLODED),
        printed.count(State.NOT_RUN), lacking[Missing.WEIGHTS], lacking[Missing.TIME], comparison.table.title,
    )  # fmt: skip
    return dict(zip(COUNT_COLUMNS, values, strict=True))
