"""Second derivatives by autograd, refused where an operation of a model has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ncbench.errors import NotDifferentiableError


@contextmanager
def second_derivatives() -> Iterator[None]:
    """An operation that cannot be differentiated twice (``torch.cdist``, a function marked ``once_differentiable``) raises :class:`~ncbench.errors.NotDifferentiableError`."""
    try:
        yield
    except RuntimeError as error:
        # NotImplementedError, which torch raises for its own operations, is a RuntimeError.
        if not isinstance(error, NotImplementedError) and "differentiate twice" not in str(error):
            raise
        raise NotDifferentiableError(
            f"an operation of the model cannot be differentiated again ({str(error).splitlines()[0].rstrip('.')})",
            hint="Use --method finite-difference.",
        ) from error
