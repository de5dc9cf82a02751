"""Baselines: stored metrics of a model, as a file to be committed with the model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ncbench
from ncbench.check.metrics import BY_NAME, Measured
from ncbench.errors import UsageError
from ncbench.run.messages import case_content, case_from, decode, encode, rebuilt
from ncbench.store.files import store_errors, write_atomic
from ncbench.store.keys import plain
from ncbench.types import Case, SystemRequest

FORMAT = 3
"""2: with the structures it was measured on. 3: with the small box of the quick suite among them."""
WRITE_AGAIN = "Write it again: `ncbench baseline write --force`."


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Metrics of one model and how they were measured."""

    model: str
    force_mode: str
    suite: str
    system: str
    seed: int
    structures: Mapping[str, str] = field(default_factory=dict)
    """Digest by name of every structure it was measured on."""
    request: SystemRequest | None = None
    """Requested structures; a file without its folder. ``None`` for those of the suite."""
    cases: tuple[Case, ...] = ()
    """The structures themselves, where they came from a file."""
    metrics: Mapping[str, Measured]
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    """Reason by name of each metric without a value."""
    conditions: Mapping[str, str]
    """Versions, machine, precision: possible causes of a difference besides the model."""
    written: str = ""
    """When, UTC."""

    def comparable(self, other: Baseline) -> bool:
        """The same seed, suite and structures: random directions and momenta are the same."""
        first, second = self.structures.items(), other.structures.items()
        alike = (self.suite, self.system, self.seed) == (other.suite, other.system, other.seed)
        # A part of the suite needs only a part of the structures.
        return alike and (first <= second or second <= first)


def write(baseline: Baseline, path: Path) -> None:
    """Write as JSON, atomically.

    Raises:
        StoreError: the file cannot be written.
    """
    content = {
        "ncbench_baseline": FORMAT,
        "ncbench": ncbench.__version__,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": baseline.model,
        "force_mode": baseline.force_mode,
        "suite": baseline.suite,
        "system": baseline.system,
        "seed": baseline.seed,
        "structures": _structures_content(baseline),
        "conditions": dict(baseline.conditions),
        "metrics": {name: {**_plain(value), "unit": BY_NAME[name].unit} for name, value in baseline.metrics.items()},
        "unmeasured": dict(baseline.unmeasured),
    }
    with store_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def read(path: Path) -> Baseline:
    """A baseline from its file. Metrics unknown to this version are ignored.

    Raises:
        UsageError: there is no such file, or it is not a baseline, or has a newer format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"There is no baseline '{path}'.", hint="`ncbench baseline write` makes one of the model as it is."
        ) from None
    except OSError as error:
        raise UsageError(f"The baseline '{path}' cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"'{path}' is not a baseline: {error}.") from error
    try:
        if content["ncbench_baseline"] > FORMAT:
            raise UsageError(
                f"'{path}' is of format {content['ncbench_baseline']}, and this ncbench reads {FORMAT}.",
                hint="Install a newer ncbench.",
            )
        if content["ncbench_baseline"] < FORMAT:
            raise UsageError(
                f"'{path}' is of format {content['ncbench_baseline']}, which lacks structures that are measured now.",
                hint=WRITE_AGAIN,
            )
        if not any(name in BY_NAME for name in content["metrics"]):
            raise UsageError(f"The baseline '{path}' holds no metrics.", hint=WRITE_AGAIN)
        about = content["structures"]
        return Baseline(
            model=str(content["model"]),
            force_mode=str(content["force_mode"]),
            suite=str(content["suite"]),
            system=str(content["system"]),
            seed=int(content["seed"]),
            structures={str(name): str(digest) for name, digest in about["digests"].items()},
            request=rebuilt(SystemRequest | None, about["request"]),
            cases=_cases(about["atoms"]),
            conditions={str(key): str(value) for key, value in content["conditions"].items()},
            written=str(content["written"]),
            metrics={name: _measured(name, entry) for name, entry in content["metrics"].items() if name in BY_NAME},
            # Files of earlier versions have no reasons.
            unmeasured={str(name): str(reason) for name, reason in content.get("unmeasured", {}).items()},
        )
    except KeyError as error:
        raise UsageError(f"'{path}' is not a baseline: it lacks {error}.", hint=WRITE_AGAIN) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"'{path}' is not a baseline, or is damaged: {error}.", hint=WRITE_AGAIN) from error


def _structures_content(baseline: Baseline) -> dict[str, Any]:
    request = baseline.request
    if request is not None and request.path is not None:
        # Without local folders.
        request = replace(request, path=request.label)
    message = encode("structures", cases=[case_content(case) for case in baseline.cases])
    return {"request": plain(request), "digests": dict(baseline.structures), "atoms": json.loads(message)["cases"]}


def _cases(content: list[Any]) -> tuple[Case, ...]:
    message = decode(json.dumps({"kind": "structures", "cases": content}).encode())
    return tuple(case_from(one) for one in message["cases"])


def _plain(value: Measured) -> dict[str, Any]:
    return {key: _text(item) for key, item in asdict(value).items() if item not in (None, {})}


def _text(item: Any) -> Any:
    """JSON has no infinity."""
    return str(item) if isinstance(item, float) and not math.isfinite(item) else item


def _measured(name: str, entry: Mapping[str, Any]) -> Measured:
    def number(key: str, default: float) -> float:
        return float(entry.get(key, default))

    def count(key: str) -> int | None:
        return int(entry[key]) if key in entry else None

    successes, trials = count("successes"), count("trials")
    if math.isnan(float(entry["value"])) or not all(
        number(key, 0.0) >= 0.0 for key in ("within", "between", "floor", "shared")
    ):
        raise ValueError("a value is NaN, or an error is negative")
    if trials is not None and not (successes is not None and 0 <= successes <= trials and trials > 0):
        raise ValueError(f"{successes} successes of {trials} trials")
    return Measured(
        value=float(entry["value"]),
        within=number("within", 0.0),
        between=number("between", 0.0),
        dof=number("dof", math.inf),
        floor=number("floor", 0.0),
        replicates={str(key): float(value) for key, value in entry.get("replicates", {}).items()},
        successes=successes,
        trials=trials,
        # Files of earlier versions have drifts whose error is the scatter of replicas alone.
        known=bool(entry.get("known", name != "drift")),
        shared=number("shared", 0.0),
    )
