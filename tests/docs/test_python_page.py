"""The examples of the page of the Python functions run and print what the text says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ncbench

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_runs(number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(compile(EXAMPLES[number], "docs/reference/python.md", "exec"), names)  # noqa: S102  # our own text
    printed = capsys.readouterr().out
    if "axes" in names:
        frame = names["frame"]
        assert len(frame) == len(names["axes"].collections[0].get_offsets()) >= 2
    else:
        assert any(word in printed for word in ("nve", "lambda", "model"))


def test_every_public_name_is_on_the_page() -> None:
    listed = set(re.findall(r"auto(?:function|class):: ncbench\.(\w+)\n", PAGE))
    assert listed == set(ncbench.__all__) - {"__version__"}
