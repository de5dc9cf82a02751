"""A device that is not the CPU, without hardware: its tensors hold their data in host memory, and report the device ``simulated:0``.

An operation on tensors of different devices raises, except where a CUDA device accepts a number from the host. What makes the host wait for a CUDA device
(a value or tensor that is copied in either direction, a shape that depends on data) is recorded with the line of code that did it. A missing ``.to(device)`` and a
copy within a step are therefore found on a machine without a GPU.

The device is a Python backend on PyTorch's ``PrivateUse1`` key; ``torch.as_tensor`` makes tensors on it from arrays, but not from lists. Autograd counts the kinds of devices at its first backward pass: :func:`register` has to be called before.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch.utils import _pytree as pytree

NAME = "simulated"
PACKAGE = Path(__file__).resolve().parents[2] / "ncbench"
SHAPE_FROM_DATA = frozenset(
    f"aten::{name}"
    for name in (
        "nonzero",
        "masked_select",
        "_unique",
        "_unique2",
        "unique_dim",
        "unique_consecutive",
        "bincount",
        "repeat_interleave",
    )
)
"""Operations whose result has a shape that the host reads from the device."""
CHECKED_ON_HOST = frozenset(
    {"aten::_linalg_check_errors", "aten::equal", "aten::is_nonzero", "aten::_local_scalar_dense"}
)
"""Operations that return a number to the host, or raise depending on one."""
INDEXING = frozenset({"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"})
_libraries: list[torch.library.Library] = []
_recorders: list[list[Synchronisation]] = []


@dataclass(frozen=True)
class Synchronisation:
    """A point where the host waits for the device."""

    operation: str
    where: str
    """``file:line function`` of the innermost frames in the package, or of the caller outside."""

    def __str__(self) -> str:
        return f"{self.operation} at {self.where}"


class SimulatedTensor(torch.Tensor):
    """A tensor of the simulated device; ``held`` is its data, a CPU tensor."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Self:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=f"{NAME}:0",
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _carried_out(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if force:
            return self.detach().cpu().numpy()
        raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy. Use Tensor.cpu() first.")

    def __array__(self, dtype: Any = None) -> Any:
        return self.numpy()


class _Module:
    """What PyTorch asks of the module of a backend."""

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def is_initialized() -> bool:
        return True

    @staticmethod
    def device_count() -> int:
        return 1

    @staticmethod
    def current_device() -> int:
        return 0

    @staticmethod
    def _is_in_bad_fork() -> bool:
        return False

    @staticmethod
    def manual_seed_all(seed: int) -> None:
        pass

    @staticmethod
    def get_amp_supported_dtype() -> list[torch.dtype]:
        return []


def unavailable() -> str:
    """Why this version of PyTorch has no devices defined in Python; empty if it has."""
    from torch.utils import backend_registration

    if hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        return ""
    return f"torch {torch.__version__} cannot define a device in Python; 2.10 and later can"


def register() -> None:
    """Make the device known to PyTorch in this process; does nothing the second time."""
    if _libraries:
        return
    from torch.utils import backend_registration

    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    everything = torch.library.Library("_", "IMPL")
    everything.fallback(lambda func, *args, **kwargs: _carried_out(func, args, kwargs), "PrivateUse1")
    factories = torch.library.Library("aten", "IMPL")
    factories.impl("empty.memory_format", _empty, "PrivateUse1")
    factories.impl("empty_strided", _empty_strided, "PrivateUse1")
    for overload in ("arange", "arange.start", "arange.start_step"):
        # Otherwise made empty and resized, which a wrapper does not follow.
        factories.impl(overload, _arange, "PrivateUse1")
    _libraries.extend((everything, factories))


def _empty(size: Sequence[int], *, dtype: torch.dtype | None = None, **_more: Any) -> torch.Tensor:
    return SimulatedTensor(torch.empty(size, dtype=dtype))


def _empty_strided(
    size: Sequence[int], stride: Sequence[int], *, dtype: torch.dtype | None = None, **_more: Any
) -> torch.Tensor:
    return SimulatedTensor(torch.empty_strided(size, stride, dtype=dtype))


def _arange(*limits: Any, dtype: torch.dtype | None = None, **_more: Any) -> torch.Tensor:
    return SimulatedTensor(torch.arange(*limits, dtype=dtype))


@contextmanager
def synchronisations() -> Iterator[list[Synchronisation]]:
    """The points where the host waited for the device within the context."""
    recorded: list[Synchronisation] = []
    _recorders.append(recorded)
    try:
        yield recorded
    finally:
        _recorders.remove(recorded)


def _record(operation: str) -> None:
    if not _recorders:
        return
    frames = [frame for frame in traceback.extract_stack() if frame.filename != __file__]
    inside = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)]
    shown = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in (inside or frames)[-3:]]
    for recorded in _recorders:
        recorded.append(Synchronisation(operation, " > ".join(shown)))


def _carried_out(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run an operation on the data of its arguments, as the device would."""
    name = func._schema.name
    flat = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    here = [x for x in flat if isinstance(x, SimulatedTensor)]
    target = kwargs.get("device")
    to_host = target is not None and torch.device(target).type == "cpu"
    if name == "aten::copy_":
        _record_copy(args[0], args[1], non_blocking=bool(args[2] if len(args) > 2 else kwargs.get("non_blocking")))
    elif here and to_host:
        _record("copy to the host")
    else:
        _require_one_device(name, flat, here)
        _record_waiting(name, args, kwargs)
    held = {id(x.held): x for x in here}
    plain = {key: value for key, value in kwargs.items() if key != "pin_memory"}
    plain_args, plain_kwargs = pytree.tree_map(_plain, (tuple(args), plain))
    result = func(*plain_args, **plain_kwargs)

    def wrapped(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or isinstance(value, SimulatedTensor):
            return value
        if id(value) in held:
            # An operation in place returns its argument.
            return held[id(value)]
        return value if to_host or any(value is x for x in flat) else SimulatedTensor(value)

    return pytree.tree_map(wrapped, result)


def _plain(value: Any) -> Any:
    if isinstance(value, SimulatedTensor):
        return value.held
    if isinstance(value, torch.device) and value.type == NAME:
        return torch.device("cpu")
    return value


def _record_copy(target: torch.Tensor, source: torch.Tensor, *, non_blocking: bool) -> None:
    """A number from the host is an argument of a kernel; anything else is copied, and awaited unless both sides allow otherwise."""
    if isinstance(target, SimulatedTensor) is isinstance(source, SimulatedTensor):
        return
    if isinstance(source, SimulatedTensor):
        _record("copy to the host")
    elif source.dim() > 0 and not non_blocking:
        _record("copy from the host")


def _require_one_device(name: str, flat: Sequence[torch.Tensor], here: Sequence[torch.Tensor]) -> None:
    """Numbers may come from the host: tensors without dimension, also expanded.

    Raises:
        RuntimeError: tensors of the host and of the device in one operation.
    """
    foreign = [x for x in flat if not isinstance(x, SimulatedTensor) and any(x.stride())]
    if here and foreign:
        shape = tuple(foreign[0].shape)
        raise RuntimeError(
            f"{name}: expected all tensors on {NAME}:0, but one of shape {shape} is on {foreign[0].device}"
        )


def _record_waiting(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    if name in CHECKED_ON_HOST or (name in SHAPE_FROM_DATA and kwargs.get("output_size") is None):
        _record(name)
    elif name in INDEXING and any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1]):
        _record(f"{name} by a mask")
