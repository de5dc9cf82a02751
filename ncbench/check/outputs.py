"""A check's outcome for machines and for reviewers: JUnit XML, Markdown, JSON, annotations of GitHub Actions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET  # written, never read

from ncbench.check import unmeasured
from ncbench.check.baseline import Baseline
from ncbench.check.judge import Finding, State
from ncbench.check.limits import LimitFinding, Verdict
from ncbench.check.metrics import BLIND_OTHER_SEED, BLIND_SAME_SEED, METRICS, Measured
from ncbench.check.suite import Suite
from ncbench.statistics.format import with_error
from ncbench.types import ForceMode

if TYPE_CHECKING:
    import pandas as pd

BLIND = "; blind to a tenfold worsening in the quick suite"
"""Remark on a metric whose tenfold worsening is found with less than 90 % probability."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """Metrics measured by a check, compared with a baseline and judged by limits; ``passed`` says whether it holds."""

    new: Baseline
    """Measured now; it may be the baseline of a later check."""
    old: Baseline | None
    """Compared with; ``None`` where there is none."""
    findings: tuple[Finding, ...]
    """A metric each; empty without a baseline."""
    limits: tuple[LimitFinding, ...]
    failures: tuple[str, ...]
    """One sentence per failed diagnostic."""
    contradictions: tuple[str, ...] = ()
    """One sentence where the measurement contradicts the declared force mode."""
    strict: bool = False
    """What is undecided or not measured fails too."""

    @property
    def passed(self) -> bool:
        """No regression, no broken limit, nothing that failed to run, and no forces declared conservative that are not."""
        if (self.strict and (self.open or self.refused)) or self.contradictions:
            return False
        return not (self.failures or any(one.failed for one in self.findings) or any(one.failed for one in self.limits))

    @property
    def open(self) -> list[str]:
        """Metrics and limits on which the measurement does not decide, or that were not measured."""
        metrics = [one.metric.name for one in self.findings if one.state is State.UNDECIDED]
        return metrics + [str(one.limit) for one in self.limits if one.verdict in (Verdict.UNDECIDED, Verdict.UNKNOWN)]

    @property
    def refused(self) -> list[str]:
        """Metrics that the model or the structure refused, and that no finding or limit reports."""
        reported = {one.metric.name for one in self.findings} | {one.limit.metric.name for one in self.limits}
        return [name for name in unmeasured.refused(self.new.unmeasured) if name not in reported]

    @property
    def remarks(self) -> list[str]:
        """What a reader of the outcome should know and what decides nothing: a force mode that is not the baseline's."""
        if self.old is None or self.old.force_mode == self.new.force_mode:
            return []
        modes = f"{self.old.force_mode or 'none'} in the baseline and {self.new.force_mode or 'none'} now"
        lost = self.old.force_mode == ForceMode.CONSERVATIVE
        effect = ", so that forces that are no gradient contradict no declaration (declare them with --mode)"
        return [f"the declared force mode is {modes}{effect if lost else ''}"]

    @property
    def n_compared(self) -> int:
        """Metrics that both have."""
        return sum(one.state not in (State.NEW, State.MISSING) for one in self.findings)

    @property
    def name(self) -> str:
        """The model and its mode."""
        return f"{self.new.model}:{self.new.force_mode}" if self.new.force_mode else self.new.model

    def to_frame(self) -> pd.DataFrame:
        """One row per metric, in its ``unit``: ``value``, standard ``error`` and ``floor`` now, those of the baseline, and the ``state``.

        Absent numbers are NaN; an error that is not known (``error_known``) is a lower bound; the state is empty without a baseline.
        """
        import pandas as pd

        states = {one.metric.name: str(one.state) for one in self.findings}
        before = {} if self.old is None else self.old.metrics
        rows = []
        for metric in METRICS:
            new, old = self.new.metrics.get(metric.name), before.get(metric.name)
            if new is not None or old is not None:
                row = {"metric": metric.name, "unit": metric.unit, **_row(new, ""), **_row(old, "baseline_")}
                rows.append({**row, "state": states.get(metric.name, "")})
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        """The outcome in one sentence."""
        return self.sentence()

    def sentence(self) -> str:
        """The outcome in one sentence."""
        worse = [one.metric.name for one in self.findings if one.state is State.WORSE]
        # The failure of a diagnostic also explains its missing metrics, and is reported once.
        missing = [] if self.failures else [one.metric.name for one in self.findings if one.state is State.MISSING]
        broken = [str(one.limit) for one in self.limits if one.failed]
        parts = [
            *self.contradictions,
            f"worse: {', '.join(worse)}" if worse else "",
            f"limits broken: {', '.join(broken)}" if broken else "",
        ]
        parts += [f"no longer measured: {', '.join(missing)}"] if missing else []
        parts += [f"not measured: {'; '.join(self.failures)}"] if self.failures else []
        reasons = "; ".join(part for part in parts if part)
        if reasons:
            return f"{self.name} does not pass: {reasons.rstrip('.')}."
        unsure = [*self.open, *(self.refused if self.strict else ())]
        if unsure:
            decided = self.n_compared + len(self.limits) - len(self.open)
            end = " With --strict that is a failure." if not self.strict else ""
            return (
                f"{self.name} is not shown to pass: {decided} of {decided + len(unsure)} hold, and undecided or not measured: "
                f"{', '.join(unsure)}.{self._advice()}{end}"
            )
        compared = f"{self.n_compared} metrics against the baseline" if self.n_compared else ""
        limited = f"{len(self.limits)} limits" if self.limits else ""
        judged = ", ".join(part for part in (compared, limited) if part)
        judged += f"; not measured: {', '.join(self.refused)}" if judged and self.refused else ""
        return f"{self.name} passes: {judged}." if judged else f"{self.name} was measured, and compared with nothing."

    def _advice(self) -> str:
        """What would decide the open metrics and limits; empty where longer runs would not."""
        pairs = [(one.metric.name, one.old) for one in self.findings if one.state is State.UNDECIDED]
        pairs += [(one.limit.metric.name, None) for one in self.limits if one.verdict is Verdict.UNDECIDED]
        short = {name for name, old in pairs if not (self.new.metrics[name].known and (old is None or old.known))}
        quick = self.new.suite == Suite.QUICK
        advice = ""
        if short:
            longer = "`--suite full` has longer ones, `ncbench nve-drift` those of any length"
            advice = f" The runs of {', '.join(sorted(short))} are too short for a known error: "
            advice += f"{longer if quick else '`ncbench nve-drift` has longer ones'}."
        left_out = any(
            self.new.unmeasured.get(one.limit.metric.name) == unmeasured.NOT_IN_SUITE
            for one in self.limits
            if one.verdict is Verdict.UNKNOWN
        )
        if quick and any(name not in short for name, _ in pairs):
            advice += " `--suite full` has smaller errors."
        elif quick and left_out:
            advice += " `--suite full` measures more."
        return advice


def _row(value: Measured | None, prefix: str) -> dict[str, float | bool | None]:
    numbers = (math.nan, math.nan, math.nan) if value is None else (value.value, value.error, value.floor)
    row: dict[str, float | bool | None] = dict(
        zip((f"{prefix}value", f"{prefix}error", f"{prefix}floor"), numbers, strict=True)
    )
    return row | {f"{prefix}error_known": None if value is None else value.known}


def shown(value: Measured | None) -> str:
    """A value with its larger error, and a ``?`` where that is a lower bound; counts as counts."""
    if value is None:
        return "–"
    if value.trials is not None:
        return f"{value.successes}/{value.trials}"
    if math.isinf(value.value):
        return "exploded"
    if value.value <= value.floor:
        return f"≤ {value.floor:.2g}" if value.floor else "0"
    return with_error(value.value, value.error, known=value.known)


def table(outcome: CheckResult) -> tuple[list[str], list[list[str]]]:
    """Heading and rows, one per metric: arrow, name, baseline, new, unit, state."""
    by_name = {one.metric.name: one for one in outcome.findings}
    blind = _blind(outcome)
    rows = []
    for metric in METRICS:
        finding, value = by_name.get(metric.name), outcome.new.metrics.get(metric.name)
        if finding is None and value is None:
            continue
        old = [shown(finding.old)] if finding is not None else ["–"]
        state = [str(finding.state)] if finding is not None else [""]
        arrow = finding.arrow if finding is not None else ""
        rows.append(
            [
                arrow,
                metric.name,
                *old,
                shown(value),
                metric.unit,
                *state,
                metric.meaning + (BLIND if metric.name in blind else ""),
            ]
        )
    return ["", "metric", "baseline", "now", "unit", "", "what"], rows


def _blind(outcome: CheckResult) -> frozenset[str]:
    """Metrics that this comparison with a baseline cannot be relied on to judge."""
    if outcome.old is None or outcome.new.suite != Suite.QUICK:
        return frozenset()
    return BLIND_SAME_SEED if outcome.new.comparable(outcome.old) else BLIND_OTHER_SEED


def limit_rows(outcome: CheckResult) -> list[list[str]]:
    """One row per limit: limit, value, verdict."""
    return [[str(one.limit), shown(one.value), str(one.verdict)] for one in outcome.limits]


def markdown(outcome: CheckResult) -> str:
    """For a job's summary or a comment."""
    heading, rows = table(outcome)
    lines = [
        f"### {'❌' if not outcome.passed else '❔' if outcome.open else '✅'} ncbench check: {_escaped(outcome.sentence())}",
        "",
    ]
    lines += _table(heading, rows)
    if outcome.limits:
        lines += ["", *_table(["limit", "now", ""], limit_rows(outcome))]
    reasons = unmeasured.lines(outcome.new.unmeasured)
    remarks = [*reasons, *(f"note: {remark}." for remark in outcome.remarks)]
    lines += ["", *(f"- {_escaped(remark)}" for remark in remarks)] if remarks else []
    lines += [
        "",
        f"Suite {outcome.new.suite}, {outcome.new.system}, seed {outcome.new.seed}; errors in the last digits.",
    ]
    if outcome.old is not None:
        changed = [
            f"{key} {outcome.old.conditions.get(key, '–')} → {value}"
            for key, value in outcome.new.conditions.items()
            if outcome.old.conditions.get(key) != value
        ]
        lines += [
            f"Changed since the baseline of {outcome.old.written}: {_escaped(', '.join(changed) or 'nothing but the model')}."
        ]
    return "\n".join(lines) + "\n"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(heading) + " |",
        "|" + "---|" * len(heading),
        *("| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows),
    ]


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def junit(outcome: CheckResult) -> bytes:
    """JUnit XML: one test case per metric, limit and failure to run."""
    suite = ET.Element("testsuite", name=f"ncbench check {outcome.name}")
    for name, text, failed, skipped in _cases(outcome):
        case = ET.SubElement(suite, "testcase", classname=f"ncbench.{outcome.new.suite}", name=name)
        if failed:
            ET.SubElement(case, "failure", message=text)
        elif skipped:
            ET.SubElement(case, "skipped", message=text)
        else:
            ET.SubElement(case, "system-out").text = text
    cases = list(_cases(outcome))
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(failed for _, _, failed, _ in cases)))
    suite.set("skipped", str(sum(skipped and not failed for _, _, failed, skipped in cases)))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _cases(outcome: CheckResult) -> Iterator[tuple[str, str, bool, bool]]:
    """(name, text, failed, skipped)."""
    for finding in outcome.findings:
        text = f"{shown(finding.old)} before, {shown(finding.new)} now {finding.metric.unit} ({finding.state})"
        text += f": {finding.note}" if finding.note else ""
        undecided = finding.state is State.UNDECIDED
        # Metrics of a failed diagnostic: the failure itself is a separate case.
        caused = finding.state is State.MISSING and bool(outcome.failures)
        failed = (finding.failed and not caused) or (undecided and outcome.strict)
        yield finding.metric.name, text, failed, undecided or caused or finding.state is State.NEW
    for one in outcome.limits:
        text = f"{shown(one.value)} {one.limit.metric.unit}: {one.verdict}"
        if one.verdict is Verdict.UNDECIDED and one.value is not None and not one.value.known:
            text += ", the runs are too short for a known error"
        undecided = one.verdict in (Verdict.UNDECIDED, Verdict.UNKNOWN)
        yield str(one.limit), text, one.failed or (undecided and outcome.strict), undecided
    for name in outcome.refused:
        yield name, f"not measured: {outcome.new.unmeasured[name]}", outcome.strict, True
    for contradiction in outcome.contradictions:
        yield "force mode", contradiction, True, False
    for remark in outcome.remarks:
        yield "force mode", remark, False, True
    for number, failure in enumerate(outcome.failures):
        yield f"run-{number}", failure, True, False


def as_json(outcome: CheckResult) -> dict[str, Any]:
    """Plain values, without NaN and infinity."""
    return {
        "model": outcome.name,
        "passed": outcome.passed,
        "undecided": outcome.open,
        "sentence": outcome.sentence(),
        "suite": outcome.new.suite,
        "system": outcome.new.system,
        "seed": outcome.new.seed,
        "metrics": {name: _numbers(value) for name, value in outcome.new.metrics.items()},
        "findings": [
            {
                "metric": one.metric.name,
                "state": str(one.state),
                "baseline": None if one.old is None else _numbers(one.old),
                "now": None if one.new is None else _numbers(one.new),
                "probability": one.probability,
                "note": one.note,
            }
            for one in outcome.findings
        ],
        "limits": [{"limit": str(one.limit), "verdict": str(one.verdict)} for one in outcome.limits],
        "failures": list(outcome.failures),
        "contradictions": list(outcome.contradictions),
        "remarks": outcome.remarks,
        "unmeasured": dict(outcome.new.unmeasured),
    }


def _numbers(value: Measured) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "value": value.value if math.isfinite(value.value) else None,
        "error": value.error,
        "floor": value.floor,
        "error_known": value.known,
    }
    if value.trials is not None:
        numbers |= {"successes": value.successes, "trials": value.trials}
    return numbers


def workflow_commands(outcome: CheckResult) -> list[str]:
    """Workflow commands of GitHub Actions, which show as annotations of the run."""
    lines = []
    for name, text, failed, skipped in _cases(outcome):
        if failed or skipped:
            kind = "error" if failed else "notice"
            lines.append(f"::{kind} title={_property(f'ncbench {outcome.name}')}::{_message(f'{name}: {text}')}")
    return lines


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
