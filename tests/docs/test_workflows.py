"""Actions of the workflows are pinned to commits: a tag can be moved to other code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINNED = re.compile(r"[0-9a-f]{40}  # v\d+\.\d+\.\d+")
ON_A_BRANCH = {"pypa/gh-action-pypi-publish"}
"""Actions whose commits could not be compared with their tags."""


def used() -> list[tuple[str, str]]:
    """(action, version and comment) of every workflow and of the action of this repository."""
    files = [*(ROOT / ".github" / "workflows").glob("*.yml"), ROOT / "action.yml"]
    found = []
    for file in files:
        for line in re.findall(r"^\s*(?:- )?uses: (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE):
            name, _, version = line.partition("@")
            if not name.startswith("./"):
                found.append((name, version))
    return found


def test_actions_are_pinned_to_commits_with_their_version() -> None:
    assert len(used()) > 10
    loose = {name for name, version in used() if not PINNED.fullmatch(version)}
    assert loose == ON_A_BRANCH


def test_an_action_is_pinned_to_the_same_commit_everywhere() -> None:
    versions: dict[str, set[str]] = {}
    for name, version in used():
        versions.setdefault(name, set()).add(version)
    assert [name for name, known in versions.items() if len(known) > 1] == []
