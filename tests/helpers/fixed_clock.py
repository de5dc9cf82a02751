"""A clock of an assessment that stands still, so that no test depends on the speed of the machine."""

from __future__ import annotations

from ncbench.assess.assess import Clock


class FixedClock(Clock):
    """Always the same time left, s."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def left(self) -> float:
        return self.seconds
