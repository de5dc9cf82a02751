"""Consoles print names as they are."""

from __future__ import annotations

import pytest

from ncbench.cli.consoles import page_console, progress_console, table_console


@pytest.mark.parametrize("console", [table_console, page_console, progress_console])
def test_names_between_colons_are_no_emoji(console, capsys: pytest.CaptureFixture[str]) -> None:
    console().print("calc.py:m:unknown 97.2(1.6)")
    printed = capsys.readouterr()
    assert "calc.py:m:unknown" in printed.out + printed.err


def test_tables_are_not_folded_where_output_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table_console().print(" ".join(["word"] * 300))
    assert capsys.readouterr().out.count("\n") == 1
