"""Conservation cards and the page that ranks them."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ncbench.cli.main import _guarded
from ncbench.errors import StoreError, UsageError
from ncbench.report.conservation import card as conservation
from ncbench.report.conservation.leaderboard import groups, write
from ncbench.report.read import read

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "card.schema.json").read_text(encoding="utf-8"))


@cache
def _demo() -> str:
    return json.dumps(conservation.cards(read(ROOT / "results" / "demo")))


def demo_cards() -> list[dict[str, Any]]:
    cards: list[dict[str, Any]] = json.loads(_demo())
    return cards


@pytest.mark.parametrize("folder", ["demo", "laptop", "training/laptop"])
def test_cards_of_committed_results_match_the_schema(folder: str) -> None:
    made = conservation.cards(read(ROOT / "results" / folder))
    assert made
    for one in made:
        jsonschema.validate(one, SCHEMA)
        # A file for programs: NaN and infinity are no JSON.
        json.dumps(one, allow_nan=False)


def test_a_card_holds_the_numbers_of_the_summary_and_how_they_were_measured() -> None:
    direct = next(one for one in demo_cards() if one["force_mode"] == "direct")
    metric = next(one for one in direct["metrics"] if one["name"] == "lambda")
    table = read(ROOT / "results" / "demo").tables["lambda"]
    row = table[(table["model"] == "pet-m") & (table["force_mode"] == "direct")].iloc[0]
    assert metric["value"] == pytest.approx(row["lambda"])
    assert metric["standard_error"] == pytest.approx(row["lambda_se"])
    assert metric["jobs"] == [row["job"]]
    assert metric["settings"]["probes"] == row["probes"]
    assert direct["weights_sha256"]


def test_cards_are_read_as_written(tmp_path: Path) -> None:
    for one in demo_cards():
        assert conservation.read(conservation.write(one, tmp_path)) == one


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', '{"format": 99, "metrics": []}', "\x00"])
def test_invalid_cards_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.card.json").write_text(content)
    with pytest.raises(StoreError):
        conservation.read(tmp_path / "x.card.json")


def _card(name: str, value: float, error: float | None, **changes: Any) -> dict[str, Any]:
    one = copy.deepcopy(demo_cards()[0])
    one |= {"model": name, "weights_sha256": None}
    metric = next(metric for metric in one["metrics"] if metric["name"] == "lambda")
    metric |= {
        "value": value,
        "standard_error": error,
        "error_known": error is not None,
        "significant": True,
        "text": "",
    }
    one["metrics"] = [metric | changes]
    return one


def test_ranks_are_ranges_that_the_errors_allow() -> None:
    (group,) = groups(
        [_card("a", 0.1, 0.001), _card("b", 0.02, 0.001), _card("c", 0.021, 0.001), _card("d", 0.05, None)]
    )
    # d's error is unknown: it has no rank, and may lie anywhere among the others.
    assert [(entry.label, entry.rank) for entry in group.entries] == [
        ("b:direct", "1–3"),
        ("c:direct", "1–3"),
        ("d:direct", "–"),
        ("a:direct", "3–4"),
    ]


def test_two_models_at_their_numerical_floors_are_equal() -> None:
    (group,) = groups(
        [_card("a", 1e-7, 1e-9, significant=False), _card("b", 5e-8, 1e-9, significant=False), _card("c", 0.1, 0.01)]
    )
    assert [entry.rank for entry in group.entries] == ["1–2", "1–2", "3"]


def test_numbers_of_different_methods_are_not_ranked_together() -> None:
    other = _card("b", 0.01, 0.001, protocol="000000000000", settings={"probes": 64})
    first, second = groups([_card("a", 0.02, 0.001), other])
    assert len(first.entries) == len(second.entries) == 1
    assert "probes" in first.described
    assert "probes = 64" in second.described


def test_page_escapes_text_of_cards(tmp_path: Path) -> None:
    text = write([_card("<script>alert(1)</script>", 0.1, 0.01)], tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_from_a_results_folder_to_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _guarded(["card", str(ROOT / "results" / "demo"), "--out", str(tmp_path / "cards")]) == 0
    assert _guarded(["leaderboard", str(tmp_path / "cards"), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for one in demo_cards():
        assert f"{one['model']}:{one['force_mode']}" in page
    capsys.readouterr()
    assert _guarded(["leaderboard", str(tmp_path / "nothing.card.json")]) == 2
    (tmp_path / "empty").mkdir()
    assert _guarded(["leaderboard", str(tmp_path / "empty")]) == 2
    assert "holds no card" in capsys.readouterr().err


def test_two_cards_of_one_model_are_refused() -> None:
    with pytest.raises(UsageError, match="Two cards are of a:direct"):
        groups([_card("a", 0.1, 0.01), _card("a", 0.2, 0.01)])
