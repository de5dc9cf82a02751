"""``auto`` uses differences where products cost much more, and reports it; short calculations are not timed."""

from __future__ import annotations

import itertools

import pytest
from hidden_curls import HiddenCurl, atoms_of

from ncbench.diagnostics import lambda_
from ncbench.jacobian import one_structure
from ncbench.jacobian.product_cost import product_cost
from ncbench.jacobian.settings import LambdaSettings
from ncbench.types import Case


def row_of(forcefield, atoms, context, **settings):
    context.checkpoint.state = None
    return lambda_.run(forcefield, [Case("a", atoms)], LambdaSettings(**settings), seed=0, context=context).rows[0]


def ticking(*seconds: float):
    """A clock by which the calls take these times one after the other, three measurements each."""
    ends = itertools.chain.from_iterable([(0.0, s)] * 3 for s in seconds)
    return itertools.chain.from_iterable(ends).__next__


def test_short_calculations_are_not_timed():
    assert product_cost(HiddenCurl("detached"), atoms_of(), batch=4, clock=ticking(0.1)) is None


def test_the_cost_is_the_ratio_of_measured_times():
    # 24 coordinates at 0.5 s and 5 calls a product would be a minute.
    cost = product_cost(HiddenCurl("detached"), atoms_of(), batch=4, clock=ticking(0.5, 1.2, 5.4))
    assert cost == pytest.approx(4.5)


def test_the_first_call_is_excluded_from_timing():
    times = iter([0.0, 30.0, 0.0, 0.1, 0.0, 0.1])
    assert product_cost(HiddenCurl("detached"), atoms_of(), batch=4, clock=times.__next__) is None


@pytest.mark.parametrize(("cost", "method"), [(None, "exact"), (2.3, "exact"), (4.0, "finite-difference")])
def test_auto_method_follows_the_cost_and_records_it(cost, method, context, monkeypatch):
    monkeypatch.setattr(one_structure, "product_cost", lambda *_args, **_kwargs: cost)
    forcefield = HiddenCurl("detached", hidden=False)
    row = row_of(forcefield, atoms_of(), context)
    assert (row["method"], row["product_cost"]) == (method, cost)
    assert ("takes 4.0 force calls" in row["note"]) == (method == "finite-difference")
    demanded = row_of(forcefield, atoms_of(), context, method="exact")
    assert (demanded["method"], demanded["product_cost"]) == ("exact", None)
    assert row["lambda"] == pytest.approx(demanded["lambda"], rel=1e-6)
