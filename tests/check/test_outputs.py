"""Output of a check for programs and reviewers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ncbench.check import baseline, judge, limits, outputs
from ncbench.check.baseline import Baseline
from ncbench.check.metrics import Measured
from ncbench.check.outputs import CheckResult
from ncbench.cli.check import _tell
from ncbench.errors import UsageError

OLD = {
    "lambda": Measured(0.01, 1e-4, 1e-4, 11),
    "drift": Measured(2.0, 0.5, 0.5, 4, replicates={"w/0": 1.5, "w/1": 2.5}),
    "relax_success": Measured(100.0, successes=10, trials=10),
}
NEW = OLD | {"lambda": Measured(0.02, 1e-4, 1e-4, 11), "drift": Measured(math.inf)}


def made(model: str, metrics: dict[str, Measured]) -> Baseline:
    return Baseline(
        model=model, force_mode="direct", suite="quick", system="water64", seed=3, metrics=metrics,
        conditions={"ncbench": "1", "machine": "a|b"}, written="now",
    )  # fmt: skip


def outcome(model: str = "m") -> CheckResult:
    new, old = made(model, NEW), made("old", OLD)
    return CheckResult(
        new=new,
        old=old,
        findings=tuple(judge.compare(NEW, OLD, paired=True)),
        limits=tuple(limits.judge([limits.parse("lambda < 0.005"), limits.parse("speed < 1")], NEW)),
        failures=("relax failed: no <such> thing",),
    )


def test_baselines_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "b.json"
    baseline.write(made("m", NEW), path)
    result = baseline.read(path)
    assert result.metrics == NEW
    assert (result.model, result.seed, result.conditions) == ("m", 3, {"ncbench": "1", "machine": "a|b"})
    # Strict JSON: no NaN, no Infinity.
    json.loads(path.read_text(), parse_constant=pytest.fail)
    assert json.loads(path.read_text())["metrics"]["drift"]["unit"] == "meV/atom/ps"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"ncbench_baseline": 1}',
        '{"ncbench_baseline": 99}',
        '{"ncbench_baseline": "x"}',
        "\x00",
    ],
)
def test_an_invalid_baseline_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "b.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"b\.json"):
        baseline.read(path)
    with pytest.raises(UsageError, match="no baseline"):
        baseline.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("metric", "change", "sentence"),
    [
        ("", {}, "holds no metrics"),
        ("lambda", {"value": math.nan}, "a value is NaN, or an error is negative"),
        ("lambda", {"value": None}, "is damaged"),
        ("lambda", {"within": -1.0}, "an error is negative"),
        ("lambda", {"floor": "nan"}, "an error is negative"),
        ("relax_success", {"trials": 0}, "10 successes of 0 trials"),
        ("relax_success", {"successes": 11}, "11 successes of 10 trials"),
    ],
)
def test_numbers_that_could_compare_as_equal_to_anything_are_refused(
    tmp_path: Path, metric: str, change: dict[str, object], sentence: str
) -> None:
    path = tmp_path / "b.json"
    baseline.write(made("m", OLD), path)
    content = json.loads(path.read_text())
    if metric:
        content["metrics"][metric] |= change
    else:
        content["metrics"] = {}
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=sentence):
        baseline.read(path)


def test_metrics_that_the_baseline_lacks_are_not_counted_as_compared() -> None:
    new, old = made("m", OLD), made("old", {"lambda": OLD["lambda"]})
    findings = tuple(judge.compare(new.metrics, old.metrics, paired=True))
    result = CheckResult(new=new, old=old, findings=findings, limits=(), failures=())
    assert result.sentence() == "m:direct passes: 1 metrics against the baseline."


def test_junit_report_has_counts_and_names() -> None:
    suite = ET.fromstring(outputs.junit(outcome('<"&'))).find("testsuite")  # noqa: S314 - our own file
    assert suite is not None
    assert suite.get("name") == 'ncbench check <"&:direct'
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {
        "lambda": ["failure"],
        "drift": ["failure"],
        "relax_success": ["system-out"],
        "lambda < 0.005": ["failure"],
        "speed < 1": ["skipped"],
        "run-0": ["failure"],
    }
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("6", "4", "1")


def test_markdown_has_one_table_per_section() -> None:
    text = outputs.markdown(outcome("a|b"))
    assert text.startswith("### ❌")
    assert "a\\|b" in text
    assert "exploded" in text
    assert "10/10" in text
    assert "Changed since the baseline of now: nothing but the model." in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    # Heading, rule and three metrics of seven columns; heading, rule and two limits of three.
    assert [line.replace("\\|", "").count("|") for line in rows] == [8] * 5 + [4] * 4


def test_the_terminal_says_why_a_rate_is_not_compared(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    one, ten = Measured(0.0, successes=0, trials=1), Measured(40.0, successes=4, trials=10)
    findings = tuple(judge.compare({"relax_success": ten}, {"relax_success": one}, paired=True))
    found = replace(outcome(), findings=findings)
    _tell(found, {}, as_json=False)
    assert "relax_success: 1 and 10 trials are too few to be compared" in capsys.readouterr().out.splitlines()


def test_annotations_cannot_be_forged() -> None:
    lines = outputs.workflow_commands(outcome("x\n::error::forged,y:z"))
    assert len(lines) == 5
    assert all(line.startswith(("::error title=", "::notice title=")) and "\n" not in line for line in lines)
    assert "%0A" in lines[0]


def test_json_contains_plain_values() -> None:
    result = outputs.as_json(outcome())
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert not result["passed"]
    assert result["metrics"]["drift"]["value"] is None


def test_a_passed_check_lists_what_was_compared() -> None:
    same = CheckResult(
        new=made("m", OLD),
        old=made("m", OLD),
        findings=tuple(judge.compare(OLD, OLD, paired=True)),
        limits=(),
        failures=(),
    )
    assert same.passed
    assert same.sentence() == "m:direct passes: 3 metrics against the baseline."


def test_a_model_that_cannot_be_loaded_has_no_mode_and_one_full_stop() -> None:
    broken = replace(outcome(), new=replace(made("broken.pt", {}), force_mode=""), findings=(), limits=())
    failed = replace(broken, failures=("lambda failed: 'broken.pt' is no model. Export it.",))
    assert (
        failed.sentence() == "broken.pt does not pass: not measured: lambda failed: 'broken.pt' is no model. Export it."
    )
