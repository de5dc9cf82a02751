"""The report: self-contained HTML with every cell of the paper and failures shown as such."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from stored import rows_of, write_rows

from ncbench.cli.main import _guarded
from ncbench.diagnostics import registry
from ncbench.errors import UsageError
from ncbench.paper import numbers, overview
from ncbench.paper.claims import claims
from ncbench.paper.compare import Comparison, compare
from ncbench.paper.numbers import PaperTable
from ncbench.paper.page import report
from ncbench.report.cards import cards
from ncbench.report.judge import NVE, RELAXATION, Answer
from ncbench.report.read import read

DEMO = Path(__file__).resolve().parents[2] / "results" / "demo"
VOID = {"meta", "img", "link", "br", "hr"}


class Parsed(HTMLParser):
    """Checks that elements close in order, and collects loaded resources and text."""

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
        result = dict(attrs)
        self.loads += [value for key in ("src", "srcset", "data") if (value := result.get(key))]
        self.loads += [result.get("href") or ""] if tag == "link" else []
        self.links += [result.get("href") or ""] if tag == "a" else []
        self.ids += [result["id"] or ""] if "id" in result else []
        assert not any(key.startswith("on") for key in result)
        if tag == "img":
            assert result.get("alt")
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


def test_page_is_complete_and_loads_no_external_resource(page: str) -> None:
    result = Parsed(page)
    assert all(value.startswith("data:image/png;base64,") for value in result.loads)
    assert all(link.startswith("#") and link[1:] in result.ids for link in result.links)
    assert not re.search(r"@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_page_states_which_models_may_run_at_constant_energy(page: str) -> None:
    text = Parsed(page).text.rpartition("What each model may be used for")[2]
    direct = text[text.index("pet-m:direct") :]
    assert direct.split("constant energy (NVE)")[0].split()[-1] == "no"
    assert "meV/atom/ps" in direct[:600]
    conservative = text[text.index("pet-m:conservative") :]
    # 160 fs are too few to exclude the tolerated heating.
    assert conservative.split("constant energy (NVE)")[0].split()[-2:] == ["cannot", "tell"]


def test_missing_runs_take_one_line(page: str) -> None:
    text = Parsed(page).text
    demo = ("lambda", "workloop", "nve-drift", "nvt", "relax", "timing")
    assert f"not run: {', '.join(name for name in registry.diagnostics() if name not in demo)}" in text
    sevennet = text[text.index("sevennet-0:conservative") :]
    # A card has the uses that were measured; the local thermostat is judged from the drift at constant energy.
    assert sevennet.split("not run:")[0].count("cannot tell") == 4


def test_page_has_every_number_of_the_paper(page: str) -> None:
    result = Parsed(page)
    for name in numbers.names():
        table = numbers.table(name)
        # A table is shown with all its cells, or listed with the reason why it has no results.
        assert table.title in result.text
        if f"{table.title} ({table.place})" in result.text:
            for cell in table.cells:
                if cell.printed.value is not None:
                    assert cell.printed.text in result.said


def test_html_in_results_is_escaped(tmp_path: Path) -> None:
    nasty = "<script>alert('x')</script>"
    rows = rows_of(DEMO, "lambda", model=nasty, reason='"><img src=x onerror=y>')
    folder = write_rows(tmp_path, {"lambda": rows})
    page = report(folder, title=nasty).read_text(encoding="utf-8")
    assert nasty not in page
    assert nasty in Parsed(page).text


def test_failures_are_shown_as_failures(tmp_path: Path) -> None:
    gone = rows_of(DEMO, "nve-drift", status="exploded", reason="left 10000 K", energy_drift_meV_per_atom_per_ps=None)
    relax = rows_of(DEMO, "relax", status="failed", reason="the disk was full")
    folder = write_rows(tmp_path, {"nve-drift": gone, "relax": relax})
    made = cards(read(folder))
    assert {one.answer for card in made for one in card.judgements if one.use == NVE} == {Answer.NO}
    assert all(any(use.startswith(RELAXATION) for use in card.not_measured) for card in made)
    assert "the disk was full" in report(folder).read_text(encoding="utf-8")


def test_folders_without_results_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError):
            report(folder)
    assert _guarded(["report", str(tmp_path / "none")]) == 2
    assert "no results folder" in capsys.readouterr().err
    assert _guarded(["report", str(DEMO), "--out", str(tmp_path / "x.html"), "--title", "Mine"]) == 0
    assert "<h1>Mine</h1>" in (tmp_path / "x.html").read_text(encoding="utf-8")


def test_every_diagnostic_has_its_table(tmp_path: Path) -> None:
    """All diagnostics of the registry, including `evaluate`."""
    every = {name: [{"model": f"model-of-{name}", "status": "failed"}] for name in registry.diagnostics()}
    text = Parsed(report(write_rows(tmp_path, every)).read_text(encoding="utf-8")).text
    for name in every:
        assert f"{name}: 1 rows" in text
        assert f"model-of-{name}:direct" in text
    assert "not run: " not in text


def test_each_comparison_is_computed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compared: list[str] = []

    def counted(table: PaperTable, *arguments: Any, **options: Any) -> Comparison:
        compared.append(table.name)
        return compare(table, *arguments, **options)

    monkeypatch.setattr(overview, "compare", counted)
    report(DEMO, tmp_path / "r.html")
    assert sorted(compared) == sorted(numbers.names())


def test_uses_come_first_and_then_the_papers_claims_only_where_there_is_evidence(page: str, tmp_path: Path) -> None:
    headings = re.findall(r'<h2 id="(\w+)"', page)
    assert headings[:2] == ["scorecards", "claims"]
    assert page.count('href="#claims"') == 1
    assert "λ of direct forces is not zero: 0.03" in Parsed(page).text
    # A folder without a number that a claim uses has no such section.
    rows = [
        {
            "model": "a",
            "force_mode": "direct",
            "lambda": 0.1,
            "lambda_se": 0.01,
            "lambda_floor": 0.001,
            "method": "exact",
            "status": "ok",
            "system": "argon",
        }
    ]
    without = report(write_rows(tmp_path, {"lambda": rows})).read_text(encoding="utf-8")
    assert "claims" not in re.findall(r'<h2 id="(\w+)"', without)
    assert "#claims" not in without
    assert f"ncbench paper claims {tmp_path / 'results'}" in Parsed(without).text


def test_claims_without_a_number_are_folded(page: str) -> None:
    section = page.partition('<h2 id="claims">')[2].partition('<h2 id="paper">')[0]
    shown, _, folded = section.partition("Claims without a number here: ")
    assert "not testable here</span>" not in shown
    untested = [one for one in claims() if one.text in html.unescape(folded)]
    tested = [one for one in claims() if one.text in html.unescape(shown)]
    assert untested
    assert len(untested) + len(tested) == len(claims())


def test_an_undecided_claim_alone_opens_no_section(tmp_path: Path) -> None:
    """A drift whose error is a lower bound: the claim about heating has a number and is open."""
    rows = rows_of(DEMO, "nve-drift", plateau=False)
    page = report(write_rows(tmp_path, {"nve-drift": rows})).read_text(encoding="utf-8")
    assert "claims" not in re.findall(r'<h2 id="(\w+)"', page)


def test_cards_take_what_a_folder_lacks_from_the_others_and_name_them(tmp_path: Path) -> None:
    first = write_rows(tmp_path / "first", {"nve-drift": rows_of(DEMO, "nve-drift")})
    second = write_rows(
        tmp_path / "second",
        {"lambda": rows_of(DEMO, "lambda"), "timing": rows_of(DEMO, "timing"), "nve-drift": rows_of(DEMO, "nve-drift")},
    )
    alone = {card.label: card for card in cards(read(first))}
    assert any(text.startswith("conservative forces") for text in alone["pet-m:direct"].not_measured)
    page = report(first, tmp_path / "r.html", also=[second]).read_text(encoding="utf-8")
    text = Parsed(page).text.rpartition("What each model may be used for")[2]
    direct = text[text.index("pet-m:direct") : text.index("pet-m:conservative")]
    assert "λ = 0.0302(6) of one structure (in second/results)" in direct
    assert "(in second/results)" in direct[direct.index("ms a step") :]
    # What the folder itself shows is not taken from another.
    assert direct.count("(in second/results)") == 2
    assert "conservative forces (lambda" not in direct


def test_models_without_measurements_share_a_line(tmp_path: Path) -> None:
    rows = [{"model": name, "force_mode": "direct", "lambda": None, "status": "failed"} for name in ("a", "b")]
    page = report(write_rows(tmp_path, {"lambda": rows})).read_text(encoding="utf-8")
    assert "Nothing was measured that a use could be judged by: a:direct, b:direct.</p>" in page
    assert 'class="card"' not in page


def test_an_undecided_use_is_decided_by_another_folder(tmp_path: Path) -> None:
    # 0.05 ps: too short for a known error, and for its bound.
    short = write_rows(tmp_path / "short", {"nve-drift": rows_of(DEMO, "nve-drift", plateau=False, steps=100)})
    known = write_rows(tmp_path / "known", {"nve-drift": rows_of(DEMO, "nve-drift", plateau=True)})
    for also, answer, named in (((), Answer.UNSURE, False), ((("known", read(known)),), Answer.NO, True)):
        card = next(one for one in cards(read(short), also) if one.label == "pet-m:direct")
        (nve,) = [one for one in card.judgements if one.use == NVE]
        assert nve.answer is answer
        assert nve.evidence.endswith("(in known)") is named
