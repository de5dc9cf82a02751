"""Rows of a diagnostic on structures in memory, without a store."""

from __future__ import annotations

from typing import Any

from ase import Atoms

from ncbench.diagnostics import registry
from ncbench.diagnostics.base import Context
from ncbench.types import Case


class Memory:
    """Progress and checkpoint that keep nothing."""

    def start(self, total: float, unit: str) -> None: ...
    def update(self, done: float, note: str = "") -> None: ...
    def load(self) -> dict[str, Any] | None:
        return None

    def save(self, state) -> None: ...


def rows(name: str, forcefield, structures: list[Atoms] | list[Case], **settings: Any) -> list[dict[str, Any]]:
    """The main rows of diagnostic ``name``; structures without a name are called s#0, s#1, …"""
    diagnostic = registry.get(name)
    cases = [s if isinstance(s, Case) else Case(f"s#{i}", s) for i, s in enumerate(structures)]
    context = Context(progress=Memory(), checkpoint=Memory())
    return diagnostic.run(forcefield, cases, diagnostic.settings(**settings), seed=0, context=context).rows
