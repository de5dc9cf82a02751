"""Rate at which `ncbench check` fails an unchanged model: the quick suite repeated with other seeds, against one baseline.

    python benchmarks/check_false_alarms.py                        # pet-m in both modes, 200 repeats each: some hours on one core
    python benchmarks/check_false_alarms.py --minutes 60           # time limit; the same command continues
    python benchmarks/check_false_alarms.py --only nve-drift,workloop --model pet-m:direct    # more repeats of some of it
    python benchmarks/check_false_alarms.py --repeats 0            # only the report, from existing measurements

The first seed is the baseline, every other one a check of the same model. ``consistency`` is left out: on one structure, its metrics have no error
for another seed, so that it fails no check with another seed (it is ``undecided`` at worst). Everything else of the quick suite
is run as `ncbench check` runs it. Writes ``results/bench/false_alarms.jsonl``, one or more lines per model and seed, and ``false_alarms.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from scipy import stats

import ncbench
from ncbench.check import suite as suites
from ncbench.check.judge import FALSE_ALARMS, Finding, State, compare
from ncbench.check.metrics import BY_NAME, METRICS, Measured, measure
from ncbench.check.suite import Suite
from ncbench.diagnostics import registry
from ncbench.diagnostics.base import Context
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.run.reporter import SilentReporter
from ncbench.structures.load import load_cases
from ncbench.types import ModelRequest

LEFT_OUT = "consistency"
REPEATED = tuple(name for name in suites.SETTINGS[Suite.QUICK] if name != LEFT_OUT)
OUT = Path(__file__).resolve().parents[1] / "results" / "bench"
EXPLAINED = """\
Each repeat is the quick suite on the first structure of `water64` (relaxations: a water molecule) with a seed of its own, judged as a check with another seed
than the baseline's. Left out is `{left_out}` ({left}): on one structure these have no
error that another seed could be judged by, and fail no such check. The model, the structure and the machine stay the same, so that every failure is a false
alarm. Meant is less than {meant:g} %.

How many seeds were measured differs by metric, since some were repeated more often (`--only`). A check fails where any metric fails it; the last row is of
seeds of which all were measured. Checks against one baseline share its errors: where it lies far out by chance, many of them fail together. The last column
takes every seed as the baseline of every other; these pairs are not independent, and have no interval. `speed` depends on the machine, not on the seed: other
work on it is part of what was repeated."""
Metrics = dict[str, Measured]


class Forgetful:
    """A checkpoint for runs that are repeated if they are killed."""

    def load(self) -> None:
        """No state."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Keeps no state."""


def metrics_of(forcefield: ForceField, spec: str, seed: int, diagnostics: Sequence[str]) -> Metrics:
    """Metrics of a check with this seed from these diagnostics."""
    rows: dict[str, Sequence[Mapping[str, Any]]] = {}
    for job in suites.jobs(ModelRequest(spec=spec), Suite.QUICK, seed=seed):
        if job.diagnostic not in diagnostics:
            continue
        cases = load_cases(job.system, job.default_structures, seed)
        context = Context(progress=SilentReporter(), checkpoint=Forgetful())
        outcome = registry.get(job.diagnostic).run(forcefield, cases, job.settings, seed=seed, context=context)
        rows[job.diagnostic] = outcome.rows
    return measure(rows)


def read(path: Path) -> dict[str, dict[int, Metrics]]:
    """Measurements by model and seed. An incomplete line after a kill is ignored."""
    by_model: dict[str, dict[int, Metrics]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        metrics = {
            # As in check_power.py: the error of an earlier drift is not known.
            name: Measured(**{"known": name != "drift", **value})
            for name, value in entry["metrics"].items()
        }
        by_model.setdefault(entry["model"], {}).setdefault(entry["seed"], {}).update(metrics)
    return by_model


def extend(path: Path, models: Sequence[str], repeats: int, minutes: float, diagnostics: Sequence[str]) -> None:
    """Measure missing seeds, until all are done or the time is over."""
    ends = time.monotonic() + 60.0 * minutes
    done = read(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    loaded = {spec: load_forcefield(ModelRequest(spec=spec)) for spec in models}
    for seed in range(repeats + 1):
        for spec, forcefield in loaded.items():
            known = {BY_NAME[name].source for name in done.get(spec, {}).get(seed, {})}
            wanted = [name for name in diagnostics if name not in known]
            if not wanted:
                continue
            if time.monotonic() > ends:
                return
            metrics = metrics_of(forcefield, spec, seed, wanted)
            entry = {"model": spec, "seed": seed, "metrics": {name: asdict(value) for name, value in metrics.items()}}
            with path.open("a", encoding="utf-8") as file:
                # Starts on a new line even after an incomplete one.
                file.write(("\n" if _cut(path) else "") + json.dumps(entry) + "\n")


def _cut(path: Path) -> bool:
    content = path.read_bytes()
    return bool(content) and not content.endswith(b"\n")


def rate(alarms: int, checks: int) -> str:
    """A share with its exact 95 % binomial interval (Clopper & Pearson, Biometrika 26, 404, 1934)."""
    low, high = stats.binomtest(alarms, checks).proportion_ci(0.95, method="exact")
    return f"{alarms}: {100 * alarms / checks:.2g} % ({100 * low:.2g} to {100 * high:.2g} %)"


def _row(label: str, by_seed: Mapping[int, Metrics], names: Sequence[str]) -> str:
    """A row of the report: these metrics together, of the seeds that have them all."""
    having = {seed: {name: one[name] for name in names} for seed, one in by_seed.items() if set(names) <= set(one)}
    if len(having) < 2:
        return f"| {label} | – | – | – | – |"
    baseline = min(having)

    def check(new: int, old: int) -> list[Finding]:
        return compare(having[new], having[old], paired=False)

    against_one = [check(seed, baseline) for seed in having if seed != baseline]
    pairs = [check(new, old) for old in having for new in having if new != old]
    alarms, of_pairs = (sum(any(one.failed for one in findings) for findings in some) for some in (against_one, pairs))
    undecided = sum(any(one.state is State.UNDECIDED for one in findings) for findings in against_one)
    return f"| {label} | {len(against_one)} | {rate(alarms, len(against_one))} | {undecided} | {rate_of_pairs(of_pairs, len(pairs))} |"


def rate_of_pairs(alarms: int, pairs: int) -> str:
    """A share without an interval."""
    return f"{alarms} of {pairs}: {100 * alarms / pairs:.2g} %"


def lines_of(spec: str, by_seed: Mapping[int, Metrics]) -> list[str]:
    """The report on one model."""
    names = [metric.name for metric in METRICS if metric.source in REPEATED and metric.name in by_seed[min(by_seed)]]
    return [
        f"## {spec}",
        "",
        f"| metric | checks against seed {min(by_seed)} | failed, 95 % interval | beyond what is tolerated, within the errors | all pairs: failed |",
        "|---|---|---|---|---|",
        *(_row(name, by_seed, [name]) for name in names),
        _row("any of them", by_seed, names),
        "",
    ]


def report(by_model: Mapping[str, Mapping[int, Metrics]], threads: int) -> str:
    """Markdown."""
    left = ", ".join(metric.name for metric in METRICS if metric.source == LEFT_OUT)
    versions = f"torch {torch.__version__}, Python {platform.python_version()}, ncbench {ncbench.__version__}"
    repeated = EXPLAINED.format(left_out=LEFT_OUT, left=left, meant=100 * FALSE_ALARMS)
    lines = [
        "# False alarms of `ncbench check`",
        "",
        f"Made by `benchmarks/check_false_alarms.py`. {platform.machine()}, {threads} thread(s), {versions}.",
        "",
        *repeated.splitlines(),
        "",
    ]
    for spec, by_seed in by_model.items():
        if len(by_seed) > 1:
            lines += lines_of(spec, by_seed)
    return "\n".join(lines)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", action="append", help="repeat it; pet-m in both modes where there is none")
    parser.add_argument("--repeats", type=int, default=200, help="checks of each model")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop before a repeat that would begin later")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", "1")))
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", default=",".join(REPEATED), help="diagnostics, separated by commas")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    path = asked.out / "false_alarms.jsonl"
    if asked.repeats:
        models = asked.model or ["pet-m:direct", "pet-m:conservative"]
        extend(path, models, asked.repeats, asked.minutes, asked.only.split(","))
    (asked.out / "false_alarms.md").write_text(report(read(path), asked.threads), encoding="utf-8")


if __name__ == "__main__":
    main()
