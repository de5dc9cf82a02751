"""Which attention kernels are used where a second derivative follows, and what is said of operations that have none."""

from __future__ import annotations

import pytest
import torch

from ncbench.errors import NotDifferentiableError
from ncbench.models.second_derivatives import differentiable_twice, second_derivatives


def enabled() -> tuple[bool, ...]:
    cuda = torch.backends.cuda
    return cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled()


def test_fused_attention_is_off_where_a_second_derivative_follows_on_cuda() -> None:
    before = enabled()
    with differentiable_twice(torch.device("cuda")):
        assert enabled() == (False, False, True)
    assert enabled() == before


@pytest.mark.parametrize(("device", "needed"), [("cpu", True), ("cuda", False)])
def test_kernels_are_as_before_on_a_cpu_or_without_a_second_derivative(device: str, needed: bool) -> None:
    before = enabled()
    with differentiable_twice(torch.device(device), needed):
        assert enabled() == before


def test_a_kernel_without_a_second_derivative_is_refused_with_what_to_do() -> None:
    message = "derivative for aten::_scaled_dot_product_efficient_attention_backward is not implemented"
    with pytest.raises(NotDifferentiableError, match="cannot be differentiated again"), second_derivatives():
        raise RuntimeError(message)
    with pytest.raises(RuntimeError, match="out of memory"), second_derivatives():
        raise RuntimeError("out of memory")
