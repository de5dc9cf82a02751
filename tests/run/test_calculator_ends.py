"""A calculator that ends the program or runs out of memory is a failed row, and the next job goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from ase import Atoms
from ase.io import write

from ncbench.run.local import run_jobs
from ncbench.run.plan import plan_jobs
from ncbench.run.reporter import SilentReporter
from ncbench.store.store import Store
from ncbench.types import Budget, ModelRequest, SystemRequest

CALCULATOR = """
import sys
from ase.calculators.lj import LennardJones

class Ends(LennardJones):
    def calculate(self, *args, **kwargs):
        {action}

make = Ends
"""


@pytest.mark.parametrize(
    ("action", "reason"), [("sys.exit(7)", "sys.exit(7)"), ("raise MemoryError", "memory of this machine ran out")]
)
def test_exits_and_memory_errors_give_a_failed_row_and_the_next_job_runs(
    tmp_path: Path, action: str, reason: str
) -> None:
    (tmp_path / "ends.py").write_text(CALCULATOR.format(action=action))
    write(tmp_path / "pair.xyz", Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 3.7]]))
    models = [ModelRequest(spec=f"{tmp_path / 'ends.py'}:make"), ModelRequest(spec="analytic-lj")]
    jobs = plan_jobs(
        ["evaluate"], models, SystemRequest(path=str(tmp_path / "pair.xyz")), budget=Budget.SMOKE, seeds=[0]
    )
    rows = run_jobs(jobs, Store(tmp_path / "out"), SilentReporter()).rows["evaluate"]
    assert sorted(row["status"] for row in rows) == ["failed", "ok"]
    (failed,) = (row for row in rows if row["status"] == "failed")
    assert reason in failed["reason"]
