"""The suites of the paper: each names the cells it fills, and at the paper's budget runs every possible cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from wanted import LISTS, Wanted, wanted

from ncbench.diagnostics.timing import TimingSettings
from ncbench.errors import UsageError
from ncbench.models.registry import parse_spec
from ncbench.paper import numbers
from ncbench.paper.compare import compare, counterparts
from ncbench.paper.reproduce.cost import force_calls
from ncbench.paper.reproduce.targets import MADE_OTHERWISE, SAME_AS, choose, targets
from ncbench.run.plan import apply_overrides, load_suite
from ncbench.types import Budget, Job

ALL = [(target, budget) for target in targets().values() for budget in Budget]


def test_every_table_of_the_paper_has_a_suite() -> None:
    assert {name for target in targets().values() for name in target.fills} == set(numbers.names())
    for target in targets().values():
        assert target.path.stem == target.name


def _mode(job: Job) -> str:
    parsed = parse_spec(job.model.spec)
    assert parsed.row is not None
    return f"{parsed.name}:{parsed.mode or parsed.row.modes[0]}"


def _serves(job: Job, one: Wanted) -> bool:
    """The job has the settings of the cells; where a cell allows a list of values, the job has one of them."""
    if (job.diagnostic, _mode(job), job.system.label) != (one.diagnostic, one.model, one.system):
        return False
    asked = apply_overrides(job.settings, {k: v for k, v in one.settings.items() if k not in LISTS}, job.diagnostic)
    if job.settings.__class__ is TimingSettings and job.settings.path == "auto":
        # Both code paths if the family has both, otherwise the adapter's.
        asked = replace(asked, path="auto")
    listed = all(set(one.settings[key]) & set(getattr(job.settings, key)) for key in LISTS if key in one.settings)
    return asked == job.settings and listed


@pytest.mark.parametrize("name", numbers.names())
def test_the_papers_budget_runs_every_cell_that_can_be(name: str) -> None:
    jobs = [
        job for target in targets().values() if name in target.fills for job in load_suite(target.path, Budget.PAPER)
    ]
    missing = []
    for one in wanted(compare(numbers.table(name), {}, counterparts()).cells):
        serving = [job for job in jobs if _serves(job, one)]
        for key in LISTS:
            done = {value for job in serving for value in getattr(job.settings, key, ())}
            missing += [(one.model, key, value) for value in one.settings.get(key, ()) if value not in done]
        if not serving:
            missing.append((one.model, one.system, str(dict(one.settings))))
    assert missing == []


@pytest.mark.parametrize(("target", "budget"), ALL, ids=[f"{target.name}-{budget}" for target, budget in ALL])
def test_every_suite_has_distinct_jobs_with_a_cost(target: object, budget: Budget) -> None:
    jobs = load_suite(target.path, budget)  # type: ignore[attr-defined]
    if budget is not Budget.SMOKE:
        assert jobs
    assert len(set(jobs)) == len(jobs)
    for job in jobs:
        (calls,) = force_calls(job, [192])
        assert calls > 0


def test_a_larger_budget_never_costs_less() -> None:
    for target in targets().values():
        costs = []
        for budget in Budget:
            jobs = [job for job in load_suite(target.path, budget) if job.model.spec.startswith("pet-m")]
            costs.append(
                sum(
                    force_calls(job, [192])[0] * (job.settings.n or 1 if job.diagnostic == "relax" else 1)
                    for job in jobs
                )
            )
        assert costs == sorted(costs), target.name


def test_targets_are_chosen_by_name() -> None:
    assert [target.name for target in choose(["table8", "lambda", "table8"])] == ["table8", "lambda"]
    assert choose(["all"]) == choose(["table8", "all"]) == list(targets().values())
    with pytest.raises(UsageError, match="tabel8") as result:
        choose(["tabel8"])
    assert "table8" in (result.value.hint or "")


def test_a_suite_changes_with_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        '[suite]\nname = "s"\n[[run]]\ndiagnostics = ["nvt"]\nmodels = ["pet-m:direct"]\n'
        'vary.nvt = { thermostats = ["svr:10", "langevin:10"], temperature_K = [300.0, 400.0] }\n'
        "settings.nvt = { duration_fs = 8.0 }\n"
        "at.smoke = { seeds = [0, 1], settings.nvt = { equilibration_fs = 1.0 } }\n"
        '[[run]]\ndiagnostics = ["timing"]\nmodels = ["pet-m:direct"]\nbudgets = ["paper"]\n',
        encoding="utf-8",
    )
    laptop, smoke, paper = (load_suite(path, budget) for budget in (Budget.LAPTOP, Budget.SMOKE, Budget.PAPER))
    assert [(job.settings.thermostats, job.settings.temperature_K) for job in laptop] == [
        (("svr:10",), 300.0), (("svr:10",), 400.0), (("langevin:10",), 300.0), (("langevin:10",), 400.0)
    ]  # fmt: skip
    assert len(smoke) == 8
    assert {(job.settings.duration_fs, job.settings.equilibration_fs) for job in smoke} == {(8.0, 1.0)}
    assert {job.settings.duration_fs for job in laptop} == {8.0}
    assert [job.diagnostic for job in paper] == ["nvt"] * 4 + ["timing"]
    path.write_text('[suite]\n[[run]]\ndiagnostics = ["nvt"]\nmodels = ["pet-m"]\nat.smok = {}\n', encoding="utf-8")
    with pytest.raises(UsageError, match="smok"):
        load_suite(path)


PRINTED = [*(f"table{number}" for number in range(1, 11)), *(f"figure{number}" for number in range(1, 19))]


@pytest.mark.parametrize("name", PRINTED)
def test_every_table_and_figure_of_the_paper_is_made_or_has_a_reason(name: str):
    if SAME_AS.get(name, name) not in MADE_OTHERWISE:
        assert len(choose([name])) == 1
        return
    with pytest.raises(UsageError, match="not come from runs") as refused:
        choose([name])
    assert refused.value.hint


def test_a_figure_of_the_same_runs_is_the_same_target():
    assert [target.name for target in choose(["figure16", "figure2"])] == ["figure2"]
    with pytest.raises(UsageError, match="train-water"):
        choose(["figure14"])
