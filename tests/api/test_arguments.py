"""Arguments of the Python functions: wrong types are refused in one sentence, and a single name stands for a list of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator

import ncbench
from ncbench.api.arguments import checked
from ncbench.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "results" / "demo"
ARGON = bulk("Ar", "fcc", a=5.4, cubic=True)
LJ = "analytic-lj"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: ncbench.assess(LJ, ARGON, seconds="5"), "seconds = '5' is not a number"),
        (lambda: ncbench.assess(LJ, ARGON, uses=[5]), r"uses = \[5\] is not a list"),
        (lambda: ncbench.assess(LJ, ARGON, uses="nvee"), "no use 'nvee'"),
        (lambda: ncbench.assess(LJ, ARGON, seed=-1), "seed = -1 is not between 0 and"),
        (lambda: ncbench.check(LJ, ARGON, seed=2**63), "is not between 0 and"),
        (lambda: ncbench.check(LJ, ARGON, seed=1.5), "seed = 1.5 is not a whole number"),
        (lambda: ncbench.check(LJ, ARGON, limits="lambda < a"), "'a' in 'lambda < a' is not a number"),
        (lambda: ncbench.check(LJ, ARGON, profiles="nvee"), "no profile 'nvee'"),
        (lambda: ncbench.check(LJ, ARGON, suite=5), "suite = 5 is not a text"),
        (lambda: ncbench.check(LJ, ARGON, strict="no"), "strict = 'no' is not True or False"),
        (lambda: ncbench.analyse(5), "files = 5 is not a text or a path or a list of texts or paths"),
        (lambda: ncbench.analyse("x.traj", blocks="5"), "blocks = '5' is not a whole number"),
        (lambda: ncbench.analyse("x.traj", timestep_fs="5"), "timestep_fs = '5' is not a number or a list of numbers"),
        (lambda: ncbench.measure(5, LJ, ARGON), "diagnostic = 5 is not a text"),
        (lambda: ncbench.nve_drift(LJ, ARGON, seed=-1), "seed = -1 is not between 0 and"),
        (lambda: ncbench.nve_drift(LJ, 5), "not an int"),
        (lambda: ncbench.nve_drift(LJ, ARGON, duration_fs="5"), "setting 'duration_fs' cannot be '5'"),
        (lambda: ncbench.lambda_of(LJ, ARGON, seed=-1), "seed = -1 is not between 0 and"),
        (lambda: ncbench.lambda_of(LJ, ARGON, probes="8"), "probes = '8' is not a whole number"),
        (lambda: ncbench.predict_heating(LJ, 5), "atoms is an ase.Atoms, not an int"),
        (lambda: ncbench.predict_heating(LJ, ARGON, thermostats=5), "thermostats = 5 is not a list of texts"),
        (lambda: ncbench.predict_heating(LJ, ARGON, temperature_K="hot"), "temperature_K = 'hot' is not a number"),
        (lambda: ncbench.lambda_of(Calculator, ARGON), r"The model is the class Calculator.*Write Calculator\(\)"),
        (lambda: ncbench.check(LJ, ARGON, baseline=5), "baseline is an int, not a baseline"),
        (lambda: ncbench.predict_heating(LJ, ARGON, temperature_K=-5), "temperature_K is -5.0; it must be positive"),
        (lambda: ncbench.predict_heating(LJ, ARGON, temperature_K=float("nan")), "temperature_K is nan; it must be"),
        (lambda: ncbench.predict_heating(LJ, ARGON, quench_steps=-1), "quench_steps is -1; it must be"),
        (lambda: ncbench.load_results(DEMO)[5], "name = 5 is not a text"),
        (lambda: ncbench.load_results(5), "folder = 5 is not a text or a path"),
        (lambda: ncbench.load_results(DEMO).joined(quantities=5), "quantities = 5 is not a list"),
        (lambda: ncbench.load_results(DEMO).joined(system=5), "system = 5 is not a text"),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused_in_one_sentence(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        call()


def test_a_single_name_stands_for_a_list_of_one() -> None:
    results = ncbench.load_results(str(DEMO))
    assert results.joined(quantities="lambda").equals(results.joined(quantities=["lambda"]))
    once = ncbench.nvt(
        LJ,
        ARGON,
        budget="smoke",
        thermostats="langevin:100",
        duration_fs=np.float32(4.0),
        replicas=np.int64(1),
        equilibration_fs=0,
        seed=np.int64(3),
    )
    assert {row["thermostat"] for row in once.rows} == {"langevin"}


def test_defaults_and_arguments_of_other_types_reach_the_function_unchanged() -> None:
    marker = object()

    @checked
    def function(
        model: object, names: Any = marker, *, number: float | None = None, flag: bool = False
    ) -> tuple[Any, ...]:
        return model, names, number, flag

    assert function(marker) == (marker, marker, None, False)
    assert function("m", 5, number=1, flag=np.True_) == ("m", 5, 1.0, True)
    with pytest.raises(UsageError, match="number = True is not a number"):
        function("m", number=True)
