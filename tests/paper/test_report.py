"""The report: whole HTML that needs nothing beside it, every cell of the paper in it, and no verdict from noise."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncbench.cli.main import _guarded
from ncbench.errors import UsageError
from ncbench.paper import numbers
from ncbench.paper.page import report
from ncbench.report.html.scorecard import SIGMAS, Answer, decide, scorecards, wilson95
from ncbench.report.read import read

DEMO = Path(__file__).resolve().parents[2] / "results" / "demo"
VOID = {"meta", "img", "link", "br", "hr"}


class Parsed(HTMLParser):
    """Checks that elements close in order, and collects what is loaded and what is said."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.said: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.loads += [value for key in ("src", "srcset", "data") if (value := found.get(key))]
        self.loads += [found.get("href") or ""] if tag == "link" else []
        self.links += [found.get("href") or ""] if tag == "a" else []
        self.ids += [found["id"] or ""] if "id" in found else []
        assert not any(key.startswith("on") for key in found)
        if tag == "img":
            assert found.get("alt")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.said)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return report(DEMO, tmp_path_factory.mktemp("report") / "r.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_loads_nothing(page: str) -> None:
    found = Parsed(page)
    assert all(value.startswith("data:image/png;base64,") for value in found.loads)
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert not re.search(r"@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_a_reader_of_the_page_alone_knows_who_may_run_at_constant_energy(page: str) -> None:
    found = Parsed(page).text
    direct = found[found.index("pet-m:direct") :]
    assert direct.split("constant energy")[0].split()[-1] == "no"
    assert "meV/atom/ps" in direct[:400]
    conservative = found[found.index("pet-m:conservative") :]
    assert conservative.split("constant energy")[0].split()[-1] == "yes"


def test_no_number_of_the_paper_is_missing(page: str) -> None:
    found = Parsed(page)
    for name in numbers.names():
        table = numbers.table(name)
        # A table stands there with all its cells, or is listed with the reason why it has none of ours.
        assert table.title in found.text
        if f"{table.title} ({table.place})" in found.text:
            for cell in table.cells:
                if cell.printed.value is not None:
                    assert cell.printed.text in found.said


def test_what_is_hostile_is_text(tmp_path: Path) -> None:
    nasty = "<script>alert('x')</script>"
    frame = pd.read_parquet(DEMO / "lambda.parquet").assign(model=nasty, reason='"><img src=x onerror=y>')
    frame.to_parquet(tmp_path / "lambda.parquet")
    page = report(tmp_path, title=nasty).read_text(encoding="utf-8")
    assert nasty not in page
    assert nasty in Parsed(page).text


def test_failures_are_shown_as_such(tmp_path: Path) -> None:
    frame = pd.read_parquet(DEMO / "nve-drift.parquet")
    gone = frame.assign(status="exploded", reason="left 10000 K", energy_drift_meV_per_atom_per_ps=math.nan)
    gone.to_parquet(tmp_path / "nve-drift.parquet")
    relax = pd.read_parquet(DEMO / "relax.parquet").assign(status="failed", reason="the disk was full")
    relax.to_parquet(tmp_path / "relax.parquet")
    cards = scorecards(read(tmp_path))
    assert {use.answer for card in cards for use in card.uses if use.name.startswith("constant")} == {Answer.NO}
    assert {use.answer for card in cards for use in card.uses if use.name == "relaxation"} == {Answer.UNKNOWN}
    assert "the disk was full" in report(tmp_path).read_text(encoding="utf-8")


def test_folders_without_results_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError):
            report(folder)
    assert _guarded(["report", str(tmp_path / "none")]) == 2
    assert "no results folder" in capsys.readouterr().err
    assert _guarded(["report", str(DEMO), "--out", str(tmp_path / "x.html"), "--title", "Mine"]) == 0
    assert "<h1>Mine</h1>" in (tmp_path / "x.html").read_text(encoding="utf-8")


@given(st.floats(-1e3, 1e3), st.floats(0, 1e3), st.floats(1e-3, 1e3))
def test_no_verdict_where_the_error_spans_the_threshold(value: float, error: float, threshold: float) -> None:
    answer, remark = decide(value, error, threshold)
    spans = abs(abs(value) - threshold) <= SIGMAS * error
    assert (answer is Answer.UNSURE) == spans or error == 0.0
    assert bool(remark) == (answer is Answer.UNSURE)
    # A larger value is never judged better.
    order = [Answer.YES, Answer.UNSURE, Answer.NO]
    assert order.index(decide(abs(value) + 1.0, error, threshold)[0]) >= order.index(answer)


def test_an_error_that_is_not_known_gives_no_verdict() -> None:
    assert decide(0.0, math.nan, 1.0)[0] is Answer.UNSURE
    assert decide(math.nan, 0.0, 1.0)[0] is Answer.UNSURE


def test_a_folder_with_another_table_alone_has_a_report(tmp_path: Path) -> None:
    pd.read_parquet(DEMO / "relax.parquet").to_parquet(tmp_path / "consistency.parquet")
    assert "not measured" in Parsed(report(tmp_path).read_text(encoding="utf-8")).text


def test_wilsons_interval() -> None:
    # Brown, Cai, DasGupta, Stat. Sci. 16, 101 (2001): 10 of 10 gives 0.722 to 1.
    low, high = wilson95(10, 10)
    assert (round(low, 3), high) == (0.722, 1.0)
    assert wilson95(0, 10)[1] == pytest.approx(1 - low)
