"""Comparison with the paper: rows used by each cell, deviations, and no cell left out without a reason."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from result_rows import nvt, rows
from scipy.special import betaincinv

from ncbench.errors import UsageError
from ncbench.paper import numbers
from ncbench.paper.compare import Source, State, compare, counterparts, require_results, sources_of
from ncbench.paper.grid import grid
from ncbench.paper.markdown import markdown
from ncbench.paper.missing import Missing, missing
from ncbench.statistics.older_rows import RAISED_ERRORS

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "results" / "demo"


def cells(name: str, tables: dict[str, pd.DataFrame], **replaced: str) -> dict[str, Any]:
    """Cells by ROW/COLUMN, rows counted from 1."""
    result = compare(numbers.table(name), tables, counterparts({k.replace("_", "-"): v for k, v in replaced.items()}))
    return {cell.paper.name.partition("/")[2]: cell for cell in result.cells}


def test_same_model_deviates_in_combined_standard_errors() -> None:
    result = cells("table8", {"nvt": nvt()})
    cell = result["3/svr"]
    assert cell.state is State.SAME
    # 300.1 ± 0.1 in the paper, 300.6 ± 0.3 here.
    assert cell.deviation == pytest.approx(0.5 / math.hypot(0.3, 0.1), rel=1e-12)
    assert not cell.deviation_is_bound
    assert result["3/svrH"].deviation == pytest.approx((298.0 - 299.9) / math.hypot(3.0, 0.4), rel=1e-12)
    # One run without an error gives no deviation, with the reason.
    assert result["3/svrO"].deviation is None
    assert "our error is not known" in result["3/svrO"].remark
    assert "20 ps in steps of 0.5 fs" in cell.remark
    assert result["3/wn10"].remark == (
        "nvt of sevennet-0:conservative has no rows with thermostat = langevin, tau_fs = 10.0"
    )


def test_a_different_model_has_a_reason_and_no_deviation() -> None:
    cell = cells("table8", {"nvt": nvt("pet-m:direct")})["4/svr"]
    assert (cell.state, cell.deviation, cell.ours.value) == (State.DIFFERENT, None, 300.6)
    assert "another water set" in cell.remark


def test_an_unknown_error_gives_no_deviation() -> None:
    # No plateau, or a run of less than twenty relaxation times (2τ = 20 fs under SVR).
    for short in (nvt(plateau=False), nvt(steps=700)):
        cell = cells("table8", {"nvt": short})["3/svr"]
        assert cell.ours.loose
        assert cell.deviation is None
        assert "no deviation: our error is not known" in cell.remark


def test_errors_of_older_rows_are_raised_to_the_thermostats_fluctuations() -> None:
    old = nvt().assign(degrees_of_freedom=[573.0, 384.0, 189.0], temperature_K_se=0.01)
    result = cells("table8", {"nvt": old})
    # 20 ps under SVR of τ = 10 fs, τ_E = 20 fs, relative motion of species in 500 fs: T² [g(1000)/573 + (1/384 − 1/573) g(40)],
    # g(u) = 2(u − 1 + e^−u)/u².
    whole, between = 2 * 999 / 1000**2, 2 * 39 / 40**2
    assert result["3/svr"].ours.error == pytest.approx(300.0 * math.sqrt(whole / 573), rel=1e-9)
    expected = 300.0 * math.sqrt(whole / 573 + (1 / 384 - 1 / 573) * between)
    assert result["3/svrH"].ours.error == pytest.approx(expected, rel=1e-9)
    # The table of the folder has another error: every format says why.
    old_text = markdown(compare(numbers.table("table8"), {"nvt": old}, counterparts()))
    assert RAISED_ERRORS in old_text
    new_text = markdown(compare(numbers.table("table8"), {"nvt": nvt()}, counterparts()))
    assert RAISED_ERRORS not in new_text


def test_a_paper_without_an_error_bounds_the_deviation() -> None:
    # λ of ORB: 0.015 without an error. Its rounding, 0.001/√12, is used instead.
    frame = rows("orb-v2:direct", [{"lambda": 0.0160, "lambda_se": 0.0004, "method": "exact"}])
    cell = cells("lambda", {"lambda": frame})["1/lambda"]
    assert cell.deviation == pytest.approx(0.001 / math.hypot(0.0004, 0.001 / math.sqrt(12)), rel=1e-9)
    assert cell.deviation_is_bound


def test_runs_of_unlike_kinds_are_not_averaged() -> None:
    short = nvt(steps=100, seed=1).assign(temperature_K=400.0)
    other = nvt(dtype="float64", seed=2).assign(temperature_K=500.0)
    same = nvt(seed=3).assign(temperature_K=301.6, temperature_K_se=0.3)
    cell = cells("table8", {"nvt": pd.concat([short, nvt(), other, same])})["3/svr"]
    # The longest runs in one precision: 300.6 and 301.6, whose scatter of ±0.5 is more than their errors of ±0.3
    # allow. Two values know their scatter to Student's t with one degree of freedom: 12.706/1.960 times as wide.
    assert cell.ours.value == pytest.approx(301.1)
    assert cell.ours.error == pytest.approx(0.5 * 12.7062 / 1.95996, rel=1e-4)
    assert cell.ours.rows == 2
    assert "2 seeds" in cell.remark


def test_the_most_accurate_method_is_used() -> None:
    frame = rows(
        "orb-v2:direct",
        [
            {"lambda": 0.0150, "lambda_se": 1e-6, "method": "exact"},
            {"lambda": 0.0190, "lambda_se": 1e-3, "method": "stochastic"},
        ],
    )
    assert cells("lambda", {"lambda": frame})["1/lambda"].ours.value == 0.0150


def test_coloured_is_exact_and_ranks_above_stochastic() -> None:
    entries = [
        {"lambda": value, "lambda_se": 1e-3, "method": method}
        for value, method in ((0.019, "stochastic"), (0.0150, "coloured"), (0.017, "finite-difference"))
    ]
    frame = rows("orb-v2:direct", entries)
    assert cells("lambda", {"lambda": frame})["1/lambda"].ours.value == 0.0150


FAILURES = {
    "no results": ({}, "nvt was not run"),
    "another model": ({"nvt": nvt("orb-v2:direct")}, "nvt was not run for sevennet-0:conservative"),
    "another mode": ({"nvt": nvt("sevennet-0:direct")}, "nvt was not run for sevennet-0:conservative"),
    "failed": (
        {"nvt": nvt(status="failed", reason="no weights", force_mode="")},
        "nvt of sevennet-0:conservative failed: no weights",
    ),
    "no reason": ({"nvt": nvt(status="incomplete", reason=None)}, "incomplete: no reason given"),
    "another system": ({"nvt": nvt(system="argon")}, "was not run on water64"),
    "another target": ({"nvt": nvt(target_K=330.0)}, "no rows with"),
    "no such column": ({"nvt": nvt().drop(columns="species")}, "has no column 'species'"),
    "no such number": ({"nvt": nvt().drop(columns="temperature_K")}, "has no column 'temperature_K'"),
    "no number": ({"nvt": nvt().assign(temperature_K=np.nan)}, "has no temperature_K"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_missing_cells_have_a_reason(case: str) -> None:
    tables, reason = FAILURES[case]
    cell = cells("table8", tables)["3/svr"]
    assert (cell.state, cell.ours.value, cell.deviation) == (State.NOT_RUN, None, None)
    assert reason in cell.remark


def test_an_explosion_is_a_result() -> None:
    alive, dead = nvt(), nvt(status="exploded", seed=1, exploded_at_fs=123.0).assign(temperature_K=np.nan)
    cell = cells("table8", {"nvt": pd.concat([alive, dead])})["3/svr"]
    assert cell.state is State.EXPLODED
    # A mean over the runs that did not explode would be too favourable.
    assert cell.ours.value is None
    assert "after 123 fs (1 of 2 runs)" in cell.remark


def relax(**shared: Any) -> pd.DataFrame:
    defaults = {
        "system": "water-molecule", "optimizer": "lbfgs", "max_steps": 1000, "fmax_eV_per_A": 1e-5, "displacement_A": 0.5,
        "n": 50, "n_success": 40,
    }  # fmt: skip
    return rows("sevennet-0:conservative", [{}], **(defaults | shared))


def test_rates_are_summed_and_judged_by_their_interval() -> None:
    cell = cells("table7", {"relax": pd.concat([relax(), relax(n_success=42, seed=1)])})["3/water-molecule"]
    assert cell.ours.value == pytest.approx(82.0)
    # Half the 68 % interval of 82 in 100, whose ends are quantiles of beta distributions (Clopper-Pearson).
    tail = 0.5 * math.erfc(1 / math.sqrt(2))
    error = 50 * float(betaincinv(83, 18, 1 - tail) - betaincinv(82, 19, tail))
    assert cell.ours.error == pytest.approx(error, rel=1e-9)
    # The paper prints 81 and does not say of how many: below ours, so that the lower end of the interval is the error.
    lower = 82.0 - 100.0 * float(betaincinv(82, 19, tail))
    assert cell.deviation == pytest.approx(1.0 / math.hypot(lower, 1 / math.sqrt(12)), rel=1e-9)
    assert cell.deviation_is_bound


def test_all_of_a_hundred_is_no_sharp_rate() -> None:
    all_of_them = relax(system="mptrj", fmax_eV_per_A=1e-4, displacement_A=0.0, n=100, n_success=100)
    cell = cells("table7", {"relax": all_of_them})["3/mptrj"]
    # The paper's 97 % give 100 of 100 with a probability of 0.97^100 = 5 %. The lower end of the interval is tail^(1/100).
    lower = 100.0 * (1.0 - (0.5 * math.erfc(1 / math.sqrt(2))) ** 0.01)
    assert cell.deviation == pytest.approx(3.0 / math.hypot(lower, 1 / math.sqrt(12)), rel=1e-9)
    assert 1.5 < cell.deviation < 2.0


@pytest.mark.parametrize(
    "other", [{"displacement_A": 0.1}, {"fmax_eV_per_A": 1e-4}, {"max_steps": 100}, {"optimizer": "fire"}]
)
def test_relaxations_by_another_criterion_do_not_count(other: dict[str, Any]) -> None:
    cell = cells("table7", {"relax": relax(**other)})["3/water-molecule"]
    assert cell.state is State.NOT_RUN
    assert "optimizer = lbfgs, max_steps = 1000" in cell.remark


def test_the_preferred_system_is_used() -> None:
    liquid = {"fmax_eV_per_A": 1e-4, "displacement_A": 0.0}
    frames = [relax(system="water64", n_success=1, **liquid), relax(system="water-dft", n_success=25, **liquid)]
    assert cells("table7", {"relax": pd.concat(frames)})["3/water"].ours.value == 50.0
    assert cells("table7", {"relax": frames[0]})["3/water"].ours.value == 2.0


def timing(model: str, milliseconds: float, machine: str, **shared: Any) -> pd.DataFrame:
    entries = [
        {"path": path, "ms_per_step": factor * milliseconds} for path, factor in (("adapter", 1.0), ("ase", 2.0))
    ]
    result = rows(model, entries, **({"batch": 1, "threads": 2, "machine": machine} | shared))
    return result.assign(ms_per_step_se=0.1 * milliseconds, ms_per_step_per_atom=result["ms_per_step"] / 192)


def test_times_are_only_compared_on_the_papers_machine() -> None:
    current = cells("table5", {"timing": timing("sevennet-0:conservative", 26.0, "Some CPU")})["2/step"]
    assert (current.state, current.deviation) == (State.OTHER_MACHINE, None)
    assert current.ours.value == 52.0  # the family's ASE calculator comes first, as in the paper
    assert "another machine than NVIDIA H100" in current.remark
    there = cells("table5", {"timing": timing("sevennet-0:conservative", 26.0, "NVIDIA H100 80GB HBM3")})["2/step"]
    assert there.state is State.SAME
    assert there.deviation == pytest.approx(-0.8 / math.hypot(2.6, 0.1 / math.sqrt(12)), rel=1e-9)


def test_ratios_divide_by_the_other_mode() -> None:
    direct, conservative = timing("pet-m:direct", 40.0, "m"), timing("pet-m:conservative", 100.0, "m")
    result = cells("table10", {"timing": pd.concat([direct, conservative])})
    assert result["1/water"].ours.value == 1.0
    assert result["2/water"].ours.value == pytest.approx(2.5)
    assert result["2/water"].ours.error == pytest.approx(2.5 * math.hypot(0.1, 0.1), rel=1e-12)
    assert cells("table10", {"timing": conservative})["2/water"].remark == "timing was not run for pet-m:direct"
    assert "OC20" in result["2/alloy"].remark


def test_units_are_those_of_the_paper() -> None:
    entries = [{"drift_K_per_ps": 71.0, "drift_K_per_ps_se": 2.0, "steps": 1000, "timestep_fs": 0.5}]
    cell = cells("figure2", {"nve-drift": rows("orb-v2:direct", entries)})["2/heating"]
    assert (cell.ours.value, cell.ours.error, cell.paper.unit) == (pytest.approx(71e12), pytest.approx(2e12), "K/s")


def test_closed_paths_of_other_shape_are_not_compared_with_the_paper() -> None:
    frame = rows("orb-v2:direct", [{"path": "molecule", "work_meV": 15.0, "work_error_meV": 0.1}])
    cell = cells("figure6", {"workloop": frame})["1/work"]
    assert (cell.state, cell.deviation) == (State.OTHER_PATH, None)


def test_a_user_model_can_replace_a_model_of_the_paper() -> None:
    frame = rows(
        "mine:direct",
        [{"species": "all", "force_mae_meV_per_A": 30.0, "force_mae_meV_per_A_se": 1.0}],
        system="water-dft",
    )
    assert cells("table1", {"accuracy": frame})["4/forces"].remark.startswith("ncbench brings no PET")
    cell = cells("table1", {"accuracy": frame}, pet_nc_f="mine:direct")["4/forces"]
    assert (cell.state, cell.ours.value) == (State.DIFFERENT, 30.0)
    assert "mine:direct replaces PET (NC)" in cell.remark
    with pytest.raises(UsageError, match="no model 'pet-x'"):
        counterparts({"pet-x": "mine:direct"})
    for text in ("mine", "mine:", ":direct"):
        with pytest.raises(UsageError, match="not a model with a force mode"):
            counterparts({"pet-c": text})


def test_multiple_time_stepping_does_not_count_as_plain_dynamics() -> None:
    plain = nvt("pet-m:conservative").assign(integrator="verlet", stride=1)
    # Longer, and therefore preferred if it were not excluded.
    split = nvt("pet-m:conservative").assign(integrator="mts", stride=8, temperature_K=999.0, steps=10**6)
    result = cells("table8", {"nvt": pd.concat([plain, split], ignore_index=True)})["5/svr"]
    assert result.ours.value == 300.6
    alone = cells("table8", {"nvt": split})["5/svr"]
    assert (alone.state, alone.ours.value) == (State.NOT_RUN, None)
    assert "multiple time stepping" in alone.remark
    # The cell with this stride uses it.
    assert cells("table2", {"nvt": split.assign(temperature_excess_K=1.5)})["11/all"].ours.value == 1.5


def accuracy(model: str, error: float) -> pd.DataFrame:
    entry = {"species": "all", "force_mae_meV_per_A": error, "force_mae_meV_per_A_se": 1.0}
    return rows(model, [entry], system="water-dft")


def test_a_recipes_model_is_used_where_no_other_has_a_number() -> None:
    both = pd.concat([accuracy("pet-m:direct", 60.0), accuracy("water-pet-m:direct", 600.0)])
    assert cells("table1", {"accuracy": both})["7/forces"].ours.model == "pet-m:direct"
    cell = cells("table1", {"accuracy": accuracy("water-pet-m:direct", 600.0)})["7/forces"]
    assert (cell.state, cell.ours.value) == (State.DIFFERENT, 600.0)
    assert "recipe pet-m of benchmarks/training/water" in cell.remark
    other = cells("table1", {"accuracy": accuracy("water-pet-nc-f:direct", 250.0)})
    assert other["4/forces"].ours.value == 250.0
    # Without its model, the reason is how to make one.
    assert "the recipe pet-c-f of benchmarks/training/water makes one" in other["2/forces"].remark


def test_numbers_come_from_the_first_folder_that_has_them() -> None:
    first = Source("new", {"nvt": nvt().iloc[:1]})
    second = Source("old", {"nvt": nvt().assign(temperature_K=400.0)})
    result = {cell.paper.name: cell for cell in compare(numbers.table("table8"), [first, second], counterparts()).cells}
    assert result["table8/3/svr"].ours.value == 300.6
    assert "results in new" in result["table8/3/svr"].remark
    assert result["table8/3/svrH"].ours.value == 400.0
    assert "results in old" in result["table8/3/svrH"].remark


def test_folders_of_one_name_are_told_apart_by_their_parents(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "laptop", tmp_path / "b" / "laptop", tmp_path / "b" / "paper"]
    for path in paths:
        path.mkdir(parents=True)
        (path / "other.parquet").touch()
    with pytest.raises(UsageError, match="holds no results"):
        require_results([paths[0], tmp_path])
    require_results(paths)
    assert [source.label for source in sources_of(paths, [])] == ["a/laptop", "b/laptop", "b/paper"]
    assert [source.label for source in sources_of(paths[1:], [])] == ["laptop", "paper"]
    assert [source.label for source in sources_of(paths[:1], [])] == [""]


def test_a_number_with_a_known_error_is_preferred_to_one_without() -> None:
    short = Source("short", {"nvt": nvt(plateau=False)})
    long = Source("long", {"nvt": nvt().assign(temperature_K=310.0)})
    table = numbers.table("table8")
    for sources, value in (((short, long), 310.0), ((long, short), 310.0), ((short, short), 300.6)):
        result = {cell.paper.name: cell for cell in compare(table, sources, counterparts()).cells}
        assert result["table8/3/svr"].ours.value == value
    # Of the oxygen neither knows an error: the first counts.
    result = {cell.paper.name: cell for cell in compare(table, (short, long), counterparts()).cells}
    assert result["table8/3/svrO"].ours.value == 306.0


def prediction(**shared: Any) -> pd.DataFrame:
    entry = {
        "thermostat": "langevin", "tau_fs": 100.0, "species": "all", "target_K": 300.0, "temperature_K": 331.9,
        "temperature_excess_K": 31.9, "stable": True,
    }  # fmt: skip
    return rows("pet-m:direct", [entry | shared])


def test_predictions_are_shown_with_the_measured_number() -> None:
    cell = cells("table2", {"predict": prediction()})["7/all"]
    assert (cell.predicted.value, cell.predicted.runaway, cell.state) == (31.9, False, State.NOT_RUN)
    assert cells("table8", {"predict": prediction()})["4/wn100"].predicted.value == 331.9
    assert cells("table8", {"predict": prediction()})["4/svr"].predicted.value is None
    # One structure without a stationary state leaves no mean.
    both = pd.concat([prediction(), prediction(stable=False, temperature_excess_K=np.nan)])
    cell = cells("table2", {"predict": both})["7/all"]
    assert (cell.predicted.value, cell.predicted.runaway) == (None, True)
    texts = grid(compare(numbers.table("table2"), {"predict": both}, counterparts()))
    kinds = [texts.kind(line) for line in texts.lines]
    assert kinds.count("predicted") == 1
    assert texts.lines[kinds.index("predicted")][texts.numeric_from].text == "runaway"


def test_each_missing_number_lacks_weights_time_or_nothing() -> None:
    """ORB's weights are a download, SevenNet-0's are in its package, SOAP-BPNN's recipe makes them, a formula needs none."""
    by_model: dict[tuple[str, str], set[Missing | None]] = {}
    for name in ("table7", "table10"):
        for cell in compare(numbers.table(name), {}, counterparts()).cells:
            by_model.setdefault((name, cell.paper.model.label), set()).add(missing(cell))
    assert by_model["table7", "ORB"] == {Missing.WEIGHTS}
    assert by_model["table7", "SevenNet"] == {Missing.TIME}
    soap = {label for _, label in by_model if label.startswith("SOAP-BPNN")}
    assert soap
    assert all(by_model["table7", label] <= {Missing.TIME, None} for label in soap)
    cells = compare(numbers.table("table10"), {}, counterparts()).cells
    formula = [cell for cell in cells if cell.paper.selection.none and cell.state is State.NOT_RUN]
    assert {missing(cell) for cell in formula} == {Missing.WEIGHTS, Missing.NOTHING}
    assert all((missing(cell) is Missing.NOTHING) == ("formula" in cell.paper.selection.none) for cell in formula)
