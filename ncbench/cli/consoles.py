"""Where tables and progress are printed. Names of models are text: ``file.py:m`` holds no emoji."""

from __future__ import annotations

import sys

from rich.console import Console

PLAIN_WIDTH = 10_000
"""Columns where output is no terminal: nothing is folded, so that lines can be searched."""


def table_console() -> Console:
    """Standard output for tables: as wide as the terminal, otherwise unlimited."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False, emoji=False)


def page_console() -> Console:
    """Standard output for text that is folded everywhere."""
    return Console(emoji=False)


def progress_console() -> Console:
    """Standard error, for progress."""
    return Console(stderr=True, emoji=False)
