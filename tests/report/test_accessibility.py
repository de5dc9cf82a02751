"""Accessibility of the pages, by parsing: language, title, one main landmark, order of headings, table headings, texts of images."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from ncbench.cli.main import _guarded

ROOT = Path(__file__).resolve().parents[2]
LANDMARKS = ("header", "main", "nav", "footer")
OUTSIDE = ("html", "head", "meta", "title", "style", "script", "body", *LANDMARKS)


class Structure(HTMLParser):
    """Faults of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.open: list[str] = []
        self.headings: list[int] = []
        self.mains = 0
        self.has_title = False
        self._heading_text: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "html" and not given.get("lang"):
            self.faults.append("no language")
        if tag == "img" and not given.get("alt"):
            self.faults.append(f"image without text: {given.get('src', '')[:40]}")
        if tag == "main":
            self.mains += 1
        if tag in ("h1", "h2", "h3", "h4"):
            level = int(tag[1])
            if level > (self.headings[-1] if self.headings else 0) + 1:
                self.faults.append(f"h{level} follows h{self.headings[-1] if self.headings else 0}")
            self.headings.append(level)
        if tag == "th":
            self._heading_text = ""
            if given.get("scope") not in ("col", "row"):
                self.faults.append("th without scope")
        if tag not in OUTSIDE and "body" in self.open and not set(LANDMARKS) & set(self.open):
            self.faults.append(f"<{tag}> outside of landmarks")
        if tag not in ("meta", "img", "br", "link", "input", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "th" and not (self._heading_text or "").strip():
            self.faults.append("empty th")
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._heading_text is not None:
            self._heading_text += data
        if self.open and self.open[-1] == "title" and data.strip():
            self.has_title = True


def faults(text: str) -> list[str]:
    """Every fault of a page."""
    page = Structure()
    page.feed(text)
    found = page.faults
    found += [] if page.has_title else ["no title"]
    found += [] if page.mains == 1 else [f"{page.mains} main landmarks"]
    return found + ([] if page.headings.count(1) == 1 else [f"{page.headings.count(1)} headings of level 1"])


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    demo = str(ROOT / "results" / "demo")
    assert _guarded(["report", demo, "--out", str(folder / "report.html")]) == 0
    assert _guarded(["card", demo, "--out", str(folder / "cards")]) == 0
    assert _guarded(["leaderboard", str(folder / "cards"), "--out", str(folder / "leaderboard.html")]) == 0
    return {name: (folder / f"{name}.html").read_text(encoding="utf-8") for name in ("report", "leaderboard")}


@pytest.mark.parametrize("name", ["report", "leaderboard"])
def test_page_has_no_structural_fault(name: str, pages: dict[str, str]) -> None:
    assert faults(pages[name]) == []


def test_assessment_page_has_no_structural_fault() -> None:
    from ncbench.assess.evidence import Use
    from ncbench.assess.page import page
    from ncbench.assess.result import Assessment, Remedy
    from ncbench.report.decide import Answer
    from ncbench.report.judge import NVE, Judgement

    assessment = Assessment("m", "direct", steps=["nve-drift"])
    assessment.judgements[Use.NVE] = Judgement(NVE, Answer.NO, "drift 100(20) meV/atom/ps", "a rule")
    assessment.remedies.append(Remedy(Use.NVE, "a thermostat", "none", "verified", "1.5(3) K"))
    assert faults(page([assessment])) == []


def test_faults_are_found() -> None:
    bad = "<html><head></head><body><h2>a</h2><img src='x'><table><tr><th></th></tr></table></body></html>"
    assert {"no language", "no title", "0 main landmarks", "h2 follows h0", "th without scope", "empty th"} <= set(
        faults(bad)
    )
    assert "image without text: x" in faults(bad)
