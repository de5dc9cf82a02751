"""An interruption that TorchScript turned into another error is an interruption again, so that runs save their checkpoints."""

from __future__ import annotations

import pytest
import torch
from hidden_curls import HiddenCurl, HiddenCurlField, atoms_of

MESSAGE = "The following operation failed in the TorchScript interpreter.\nRuntimeError: {}: <EMPTY MESSAGE>"


@pytest.mark.parametrize(
    ("name", "expected"), [("KeyboardInterrupt", KeyboardInterrupt), ("SystemError", RuntimeError)]
)
def test_an_interruption_within_an_operator_is_one(name, expected, monkeypatch) -> None:
    def fails(_field: HiddenCurlField, _positions: torch.Tensor, _cells: torch.Tensor) -> None:
        raise RuntimeError(MESSAGE.format(name))

    field = HiddenCurl("detached").bind([atoms_of()])
    monkeypatch.setattr(HiddenCurlField, "compute", fails)
    with pytest.raises(expected):
        field(field.initial_positions())
