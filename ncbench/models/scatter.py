"""``torch_scatter`` and ``torch_sparse`` for fairchem-core 1, which imports both but uses one function for EquiformerV2 and eSEN.

Neither is published as a wheel for recent torch, and compiling takes ten minutes. ``scatter`` is a few lines of torch;
functions that only GemNet and similar models use raise an error when they are called.
"""

from __future__ import annotations

import sys
import types
from importlib.util import find_spec
from typing import Any

import torch

from ncbench.errors import MissingPackageError

_REFUSED = {"torch_scatter": ("segment_coo", "segment_csr"), "torch_sparse": ("SparseTensor",)}


def scatter(
    src: torch.Tensor,
    index: torch.Tensor,
    dim: int = -1,
    out: torch.Tensor | None = None,
    dim_size: int | None = None,
    reduce: str = "sum",
) -> torch.Tensor:
    """Entries of ``src`` reduced along ``dim`` by ``index``, as ``torch_scatter.scatter``: sum (add), mean, min or max.

    Groups without entries are zero.
    """
    if reduce not in ("sum", "add", "mean", "min", "max"):
        raise ValueError(f"unknown reduction {reduce!r}")
    dim = dim % src.dim()
    index = broadcast(index, src, dim)
    if out is None:
        size = list(src.shape)
        size[dim] = dim_size if dim_size is not None else (int(index.max()) + 1 if index.numel() else 0)
        out = src.new_zeros(size)
    kind = {"sum": "sum", "add": "sum", "mean": "mean", "min": "amin", "max": "amax"}[reduce]
    return out.scatter_reduce(dim, index, src, reduce=kind, include_self=kind == "sum")


def broadcast(index: torch.Tensor, other: torch.Tensor, dim: int) -> torch.Tensor:
    """A one-dimensional index expanded to the shape of ``other``."""
    dim = dim % other.dim()
    if index.dim() == 1:
        index = index.view([-1 if axis == dim else 1 for axis in range(other.dim())])
    while index.dim() < other.dim():
        index = index.unsqueeze(-1)
    return index.expand_as(other)


def stand_in() -> None:
    """Register the stand-ins in ``sys.modules`` for the packages that are not installed."""
    # It searches for both packages on its first import, and would take the stand-ins for the complete packages.
    import torch_geometric  # noqa: F401

    if find_spec("torch_scatter") is None:
        module, utilities = _module("torch_scatter"), types.ModuleType("torch_scatter.utils")
        module.__dict__.update(scatter=scatter, utils=utilities)
        utilities.__dict__["broadcast"] = broadcast
        sys.modules["torch_scatter.utils"] = utilities
    if find_spec("torch_sparse") is None:
        _module("torch_sparse")


def _module(name: str) -> types.ModuleType:
    module = types.ModuleType(name, f"Stand-in for {name}.")
    # find_spec reads the spec of a loaded module.
    module.__spec__ = types.SimpleNamespace(name=name, origin=__file__)  # type: ignore[assignment]
    for missing in _REFUSED[name]:
        module.__dict__[missing] = _refused(name, missing)
    sys.modules[name] = module
    return module


def _refused(package: str, name: str) -> type:
    class Refused:
        """Placeholder for a function that needs the real package."""

        def __init__(self, *_args: Any, **_more: Any) -> None:
            raise MissingPackageError(f"This model calls {package}.{name}, and {package} is not installed here.")

    return Refused
