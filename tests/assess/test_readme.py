"""README's first screen shows the text of the committed assessment."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_readme_shows_the_committed_assessment() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assessments = json.loads((ROOT / "results" / "assess" / "assess.json").read_text(encoding="utf-8"))
    assert {(one["model"], one["force_mode"]) for one in assessments} >= {
        ("pet-m", "direct"),
        ("pet-m", "conservative"),
    }
    for one in assessments:
        assert f"{one['model']}:{one['force_mode']} is {one['verdict']}." in readme
        for use in one["uses"]:
            assert f"{use['answer']:7s} " in readme
            assert f": {use['evidence']}" in readme
        for remedy in one["remedies"]:
            assert f"remedy  {remedy['what']} ({remedy['status']}; {remedy['price']}): {remedy['evidence']}" in readme


def test_committed_assessment_has_the_known_answers() -> None:
    """Direct forces heat and a remedy was verified; conservative forces do not heat."""
    assessments = json.loads((ROOT / "results" / "assess" / "assess.json").read_text(encoding="utf-8"))
    by_mode = {one["force_mode"]: one for one in assessments if one["model"] == "pet-m"}
    answers = {mode: {use["use"]: use["answer"] for use in one["uses"]} for mode, one in by_mode.items()}
    assert answers["direct"]["nve"] == "unsafe"
    assert answers["conservative"] == {"nve": "safe", "nvt-local": "safe"}
    assert any(one["status"] == "verified" and "Langevin" in one["what"] for one in by_mode["direct"]["remedies"])
