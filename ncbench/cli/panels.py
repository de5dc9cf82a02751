"""Groups of commands in ``ncbench --help``, in their order."""

from __future__ import annotations

START = "Start here"
DIAGNOSTICS = "Diagnostics"
COMPARE = "Compare and check"
PAPER = "The paper"
RESULTS = "Results"
LISTS = "Models, structures, environments"
