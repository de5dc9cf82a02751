"""A clock with a constant remaining time, so that no test of assessments depends on the speed of the machine."""

from __future__ import annotations

from ncbench.assess.means import Clock


class FixedClock(Clock):
    """Constant remaining time, s."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def left(self) -> float:
        return self.seconds
