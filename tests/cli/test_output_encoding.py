"""Symbols are spelled out on terminals that are not UTF-8, and a full output device is reported in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ncbench
from ncbench.cli.characters import HANDLER, spelled


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("arguments", [["lambda", "--help"], ["models", "list"], ["lambda", "-m", "λ-model"]])
def test_output_to_a_terminal_that_is_not_utf8(encoding, arguments):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-m", "ncbench", *arguments], env=environment, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == (2 if "λ-model" in arguments else 0), done.stderr
    assert done.stdout or done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "ascii_text"),
    [
        ("λ ≤ 3e-08, ‖J‖ in eV/Å², −1 ± 2", "lambda <= 3e-08, ||J|| in eV/A^2, -1 +- 2"),
        ("wässer, e\u0301, 水", "wasser, e, ?"),
        ("10⁻⁸ → ∞", "10^-8 -> inf"),
    ],
)
def test_symbols_are_spelled_out(text, ascii_text):
    assert text.encode("ascii", HANDLER).decode() == ascii_text
    assert text.encode("utf-8", HANDLER).decode() == text


def test_every_printed_symbol_has_an_ascii_spelling():
    text = "".join(path.read_text(encoding="utf-8") for path in Path(ncbench.__file__).parent.rglob("*.py"))
    assert {symbol for symbol in set(text) if spelled(symbol) == "?"} <= {"?", "❔"}


def test_columns_of_a_table_keep_their_width_in_ascii(tmp_path):
    command = [sys.executable, "-m", "ncbench", "lambda", "-m", "analytic-lj", "--system", "argon", "--budget", "smoke"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out"), "--quiet"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, check=True, timeout=120, text=True,
    )  # fmt: skip
    heading, row = [line for line in done.stdout.splitlines() if line.startswith(("model", "analytic-lj"))]
    assert "lambda" in heading
    assert "<=" in row
    # The columns of numbers end where their headings end.
    start = heading.index("lambda") + len("lambda")
    assert row[:start].rstrip() == row[:start]
    assert row[start] == " "


@pytest.mark.parametrize("arguments", [["lambda", "--help"], ["models", "list"], ["--version"]])
def test_a_full_output_device_is_reported_in_one_sentence(arguments):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ncbench", *arguments], stdout=full, stderr=subprocess.PIPE, check=False, timeout=120
        )
    assert done.returncode == 1
    assert done.stderr == b"error: The output cannot be written: No space left on device.\n"
