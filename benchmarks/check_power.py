"""Power of `ncbench check`: the probability that the quick suite finds a change of given size, metric by metric.

    python benchmarks/check_power.py            # some seconds on one core

The scatter of each metric comes from the repeated quick suites of ``check_false_alarms.py`` (``results/bench/false_alarms.jsonl``). Repeats are resampled, the
newer one of each pair is made worse, and the judge of `ncbench check` decides. Writes ``results/bench/check_power.csv`` and ``check_power.md``, and the table
between the two markers in ``docs/ci.md``.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ncbench.check.judge import compare
from ncbench.check.metrics import METRICS, Measured, Metric

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "results" / "bench"
WITH_DEFECT, WITHOUT_DEFECT = "pet-m:direct", "pet-m:conservative"
FACTORS = (1.1, 1.2, 1.5, 2.0, 5.0, 10.0)
TOLERANCES = (1.0, 3.0, 10.0, 30.0)
"""Changes from zero, in units of the tolerance for values near zero."""
TRIALS, FAILING = 10, 0.05
"""Relaxations in a check, and the share that fails before the change."""
SURE = 0.90
BEGIN, END = "<!-- check_power: begin -->", "<!-- check_power: end -->"
EXPLAINED = """\
The quick suite on the first structure of `water64`; {n} simulated checks for each change. Scatter: repeats of pet-m with direct forces (17 seeds of `lambda` and
`speed`, 56 of `work_share` and `drift`), and for the baseline of changes from zero 17 of pet-m with conservative forces. A worsening multiplies the value and its
scatter. `predicted_power` draws no random numbers and was repeated with 17 seeds for its rounding: its relative error is 2e-4 at most, by the noise of
the Jacobian. With the same seed `lambda` and `work_share` scatter by their error within a seed, and `speed` scatters as with another
seed, since its error is the machine's. Changes from zero keep the relative scatter. The error of a `drift` from runs of 20 fs is not known
(the transient after the start is common to all replicas), so that no worsening of it is found.
`relax_success` is simulated as binomial, 10 relaxations of which 5 % fail before the change. The metrics of `consistency` were not
repeated: their rows follow from the judge's rule, which assigns them no error with the same seed and an unknown one with another.
Sizes are the smallest of {factors} times, and from zero of {tolerances} tolerances, found with at least 50 % and 90 % probability.
"Blind" in the last column: a tenfold worsening is found with less than 90 % probability."""

Repeats = Mapping[str, Mapping[str, Sequence[Measured]]]
Pair = tuple[Measured, Measured]


@dataclass(frozen=True, kw_only=True)
class Power:
    """Probability that one change of one metric is found."""

    metric: str
    same_seed: bool
    change: str
    """``unchanged``, ``factor`` or ``from zero``."""
    size: float
    """A factor, or a number of tolerances."""
    found: float
    checks: int


def read(path: Path = BENCH / "false_alarms.jsonl") -> Repeats:
    """Measured values by model and metric, in the order of the seeds."""
    repeats: dict[str, dict[str, dict[int, Measured]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        entry = json.loads(line)
        for name, value in entry["metrics"].items():
            # Repeats of earlier versions have drifts whose error is the scatter of replicas alone: it is not known.
            measured = Measured(**{"known": name != "drift", **value})
            repeats.setdefault(entry["model"], {}).setdefault(name, {})[entry["seed"]] = measured
    return {
        model: {name: [by_seed[seed] for seed in sorted(by_seed)] for name, by_seed in metrics.items()}
        for model, metrics in repeats.items()
    }


def scaled(measured: Measured, factor: float) -> Measured:
    """The value and its errors times a factor; the floor, which is rounding, stays."""
    return replace(
        measured,
        value=factor * measured.value,
        within=factor * measured.within,
        between=factor * measured.between,
        replicates={key: factor * value for key, value in measured.replicates.items()},
    )


def moved(measured: Measured, shift: float) -> Measured:
    """A drift whose replicas all change by ``shift``, with their scatter kept."""
    replicates = {key: value + shift for key, value in measured.replicates.items()}
    return replace(measured, value=abs(measured.value + shift), replicates=replicates)


def pairs(
    metric: Metric, repeats: Repeats, rng: np.random.Generator, *, same_seed: bool
) -> Callable[[str, float], Pair]:
    """A function that draws (new, old) for a change of given kind and size."""
    if metric.name == "relax_success":
        return lambda change, size: _relaxations(rng, size)
    if metric.source == "consistency":
        return lambda change, size: _of_rule(metric, change, size)
    defective, sound = repeats[WITH_DEFECT][metric.name], repeats[WITHOUT_DEFECT][metric.name]
    mean = float(np.mean([one.value for one in defective]))

    def draw(change: str, size: float) -> Pair:
        olds = sound if change == "from zero" else defective
        i = int(rng.integers(min(len(olds), len(defective))))
        j = i
        if not same_seed or metric.name == "speed":
            # Another repeat than the baseline's.
            j = (i + 1 + int(rng.integers(len(defective) - 1))) % len(defective)
        old, new = olds[i], defective[j]
        if change == "from zero":
            target = size * metric.absolute
            keeps_scatter = metric.name == "drift" and target < mean
            new = moved(new, target - mean) if keeps_scatter else scaled(new, target / mean)
        else:
            new = scaled(new, size)
        if metric.source == "predict" or (same_seed and metric.name in ("lambda", "work_share")):
            new = replace(new, value=max(0.0, new.value + new.within * float(rng.standard_normal())))
        return new, old

    return draw


def _relaxations(rng: np.random.Generator, factor: float) -> Pair:
    """Two samples of relaxations; the failing share is ``factor`` times larger in the new one."""
    counts = [TRIALS - int(rng.binomial(TRIALS, min(1.0, share))) for share in (FAILING * factor, FAILING)]
    new, old = (Measured(100.0 * count / TRIALS, successes=count, trials=TRIALS) for count in counts)
    return new, old


def _of_rule(metric: Metric, change: str, size: float) -> Pair:
    """One structure: no error with the same seed, an unknown one with another."""
    if change == "from zero":
        return Measured(size * metric.absolute, between=math.inf), Measured(0.0, between=math.inf)
    # Large enough for the relative tolerance to be the larger one; a power of two, so that no rounding decides a change that equals the tolerance.
    value = 2.0 ** math.ceil(math.log2(10.0 * metric.absolute / metric.relative))
    return Measured(size * value, between=math.inf), Measured(value, between=math.inf)


def simulate(metric: Metric, repeats: Repeats, *, same_seed: bool, checks: int, seed: int = 0) -> list[Power]:
    """Power of one metric for every change, and its false alarms."""
    draw = pairs(metric, repeats, np.random.default_rng(seed), same_seed=same_seed)
    changes = [("unchanged", 1.0), *(("factor", size) for size in FACTORS)]
    changes += [("from zero", size) for size in TOLERANCES] if metric.absolute > 0 else []
    powers = []
    for change, size in changes:
        failed = 0
        for _ in range(checks):
            new, old = draw(change, size)
            (finding,) = compare({metric.name: new}, {metric.name: old}, paired=same_seed)
            failed += finding.failed
        powers.append(
            Power(
                metric=metric.name, same_seed=same_seed, change=change, size=size, found=failed / checks, checks=checks
            )
        )
    return powers


def smallest(powers: Sequence[Power], change: str, probability: float) -> float | None:
    """The smallest size from which on every change is found with this probability."""
    size = None
    for one in sorted((one for one in powers if one.change == change), key=lambda one: -one.size):
        if one.found < probability:
            break
        size = one.size
    return size


def blind(powers: Sequence[Power]) -> bool:
    """Whether a tenfold worsening is found with less than 90 % probability."""
    return next(one.found for one in powers if one.change == "factor" and one.size == 10.0) < SURE


def table(powers: Sequence[Power]) -> list[str]:
    """Markdown, a row for each metric and kind of seed."""
    lines = [
        "| metric | seed | alarms if unchanged | worsening found with 50 % | with 90 % | from zero, 50 % | from zero, 90 % | tenfold found |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for metric in METRICS:
        for same_seed in (True, False):
            own = [one for one in powers if one.metric == metric.name and one.same_seed is same_seed]
            if not own:
                continue
            sizes = [_size(metric, own, change, share) for change in ("factor", "from zero") for share in (0.5, SURE)]
            tenfold = next(one.found for one in own if one.change == "factor" and one.size == 10.0)
            unchanged = next(one.found for one in own if one.change == "unchanged")
            verdict = f"{100 * tenfold:.3g} %" + (": **blind**" if blind(own) else "")
            seed = "same" if same_seed else "other"
            lines.append(f"| `{metric.name}` | {seed} | {100 * unchanged:.2g} % | {' | '.join(sizes)} | {verdict} |")
    return lines


def _size(metric: Metric, powers: Sequence[Power], change: str, probability: float) -> str:
    sizes = [one.size for one in powers if one.change == change]
    if not sizes:
        return "–"
    size = smallest(powers, change, probability)
    unit = f" {metric.unit}" if metric.unit else ""
    if change == "factor":
        return f"> {max(sizes):g}×" if size is None else f"{size:g}×"
    return f"{'> ' if size is None else ''}{(max(sizes) if size is None else size) * metric.absolute:.3g}{unit}"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checks", type=int, default=1000, help="simulated checks of each change")
    asked = parser.parse_args()
    repeats = read()
    powers = [
        power
        for metric in METRICS
        for same_seed in (True, False)
        for power in simulate(metric, repeats, same_seed=same_seed, checks=asked.checks)
    ]
    with (BENCH / "check_power.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["metric", "seed", "change", "size", "found", "checks"])
        for one in powers:
            writer.writerow(
                [one.metric, "same" if one.same_seed else "other", one.change, one.size, f"{one.found:.4f}", one.checks]
            )
    factors = ", ".join(f"{size:g}" for size in FACTORS)
    tolerances = ", ".join(f"{size:g}" for size in TOLERANCES)
    explained = EXPLAINED.format(n=asked.checks, factors=factors, tolerances=tolerances)
    text = "\n".join([*explained.splitlines(), "", *table(powers)])
    heading = "# Power of `ncbench check`\n\nMade by `benchmarks/check_power.py`.\n\n"
    (BENCH / "check_power.md").write_text(heading + text + "\n", encoding="utf-8")
    page = ROOT / "docs" / "ci.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
