"""Second derivatives by autograd, refused where an operation of a model has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from ncbench.errors import NotDifferentiableError

_HAVE_NONE = ("differentiate twice", "derivative for aten::")
"""Parts of the messages of operations that raise a plain RuntimeError: functions marked ``once_differentiable``, and fused kernels."""


@contextmanager
def differentiable_twice(device: torch.device, needed: bool = True) -> Iterator[None]:
    """Evaluate a model so that the graph of its forces can be differentiated.

    The fused attention kernels of CUDA have a first derivative and no second one; the same function as matrix products and a softmax has
    both. On a CPU torch chooses a kernel that has both by itself. ``needed``: whether a second derivative follows.
    """
    if not needed or device.type == "cpu":
        yield
        return
    with sdpa_kernel([SDPBackend.MATH]):
        yield


@contextmanager
def second_derivatives() -> Iterator[None]:
    """An operation that cannot be differentiated twice (``torch.cdist``, a function marked ``once_differentiable``) raises :class:`~ncbench.errors.NotDifferentiableError`."""
    try:
        yield
    except RuntimeError as error:
        # NotImplementedError, which torch raises for its own operations, is a RuntimeError.
        if not isinstance(error, NotImplementedError) and not any(part in str(error) for part in _HAVE_NONE):
            raise
        raise NotDifferentiableError(
            f"an operation of the model cannot be differentiated again ({str(error).splitlines()[0].rstrip('.')})",
            hint="Use --method finite-difference.",
        ) from error
