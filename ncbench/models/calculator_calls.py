"""Calls of ASE calculators: the whole structure is passed, the result is validated, and the state of the process is restored.

A calculator is third-party code. It may print, end the program, change the folder, move the atoms it is given, cache an earlier
structure, or return arrays of other shapes. All calls of one go through :func:`evaluate`.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from numpy.typing import NDArray

from ncbench.errors import CODE_ERRORS, ModelError, NcbenchError, UnsupportedError
from ncbench.models.interface import Evaluation

FloatArray = NDArray[np.float64]

_COMPARED_BY_ASE = frozenset({"positions", "numbers", "initial_charges", "initial_magmoms"})
"""Arrays in which an ASE calculator notices a change; cell and periodicity are compared too, everything else is not."""


def evaluate(calculator: Any, atoms: Atoms, *, name: str, stress: bool, remembered: Remembered) -> Evaluation:
    """Energies (NaN where the calculator offers none), raw forces and, on request, the stress of one structure.

    Constraints are left out, so that ASE sets no force to zero. Each property is computed on a fresh copy: changes that a calculator makes to the
    atoms it is given reach neither the next property nor the caller.

    Raises:
        UnsupportedError: the calculator refuses the structure.
        ModelError: a result of the wrong shape or type, the stress of an earlier structure, or a call of ``sys.exit``.
    """
    bare = without_constraints(atoms)
    remembered.forget_if_changed(calculator, bare)
    with contained(name):
        try:
            forces = _array(
                _fresh(bare, calculator).get_forces(apply_constraint=False), (len(atoms), 3), "forces", name
            )
            tensor = _stress(calculator, bare.copy(), name) if stress else None
            if tensor is not None:
                remembered.refuse_kept_stress(tensor, bare, name)
        except NcbenchError:
            raise
        except (NotImplementedError, ValueError, KeyError) as error:
            # What ASE calculators raise for an unknown element or property.
            raise UnsupportedError(f"The calculator {name} refused the structure: {error}.") from error
        try:
            reported = _number(_fresh(bare, calculator).get_potential_energy(), name)
            energy = _force_consistent(calculator, bare, reported, name)
        except (NotImplementedError, PropertyNotImplementedError):
            reported = energy = float("nan")
    return Evaluation(energy, forces, tensor, reported_energy=reported)


def _force_consistent(calculator: Any, bare: Atoms, reported: float, name: str) -> float:
    """``free_energy``, whose gradient the forces are where a calculator smears occupations or extrapolates; else ``reported``.

    A calculator that computed ``energy`` for the same structure just before keeps its other results, so that most are not called again.
    """
    if not math.isfinite(reported):
        return reported
    results = getattr(calculator, "results", None)
    if isinstance(results, dict) and results.get("free_energy") is not None:
        return _number(results["free_energy"], name)
    if "free_energy" not in (getattr(calculator, "implemented_properties", None) or ()):
        return reported
    try:
        return _number(_fresh(bare, calculator).get_potential_energy(force_consistent=True), name)
    except (NotImplementedError, PropertyNotImplementedError):
        return reported


def without_constraints(atoms: Atoms) -> Atoms:
    """A copy in which every atom is free, with everything else that a model may read."""
    bare: Atoms = atoms.copy()
    bare.set_constraint()
    return bare


def _fresh(bare: Atoms, calculator: Any) -> Atoms:
    copy: Atoms = bare.copy()
    copy.calc = calculator
    return copy


class Remembered:
    """The last inputs that ASE does not compare (``info`` and further arrays), and the last stress.

    An ASE calculator keeps its results for atoms that agree in positions, species, cell, periodicity, initial charges and magnetic
    moments. A model that reads ``info["charge"]`` would otherwise return cached results for another charge.
    """

    def __init__(self) -> None:
        self._last: dict[str, Any] | None = None
        self._stress: tuple[int, float, FloatArray] | None = None
        """Number of atoms, volume Å³ and stress eV/Å³ of the last structure whose stress was computed."""

    def refuse_kept_stress(self, stress: FloatArray, atoms: Atoms, name: str) -> None:
        """Compare a stress (eV/Å³) with that of the structure before.

        A calculator may cache its stress and return that of an earlier structure. As σ = (1/V) ∂E/∂ε,
        two cells of different volume do not have a stress that agrees in every bit, unless it is zero. The number of atoms must agree, since
        a supercell may have the bits of its cell.

        Raises:
            ModelError: the same stress for another volume.
        """
        before, self._stress = self._stress, (len(atoms), atoms.cell.volume, stress)
        if before is None or before[0] != len(atoms) or not np.any(stress):
            return
        # Rotations and other descriptions of a cell change its volume by rounding alone.
        if not math.isclose(before[1], atoms.cell.volume, rel_tol=1e-9) and np.array_equal(before[2], stress):
            raise ModelError(
                f"The calculator {name} gave the same stress for cells of {before[1]:.6g} and {atoms.cell.volume:.6g} Å³: "
                "it returns the stress of an earlier structure. Clear its results before each calculation."
            )

    def forget_if_changed(self, calculator: Any, atoms: Atoms) -> None:
        """Reset the calculator if an input changed that ASE does not compare."""
        content: dict[str, Any] = {f"info {key}": value for key, value in atoms.info.items()}
        content |= {f"array {key}": values for key, values in atoms.arrays.items() if key not in _COMPARED_BY_ASE}
        if self._last is not None and not _same(self._last, content) and callable(getattr(calculator, "reset", None)):
            calculator.reset()
        self._last = content


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(_equal(value, second[key]) for key, value in first.items())


def _equal(first: Any, second: Any) -> bool:
    if first is second:
        return True
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray):
        same: bool = first.shape == second.shape and first.dtype == second.dtype and first.tobytes() == second.tobytes()
        return same
    try:
        return bool(first == second)
    except (TypeError, ValueError):
        return False


def _array(values: Any, shape: tuple[int, ...], what: str, name: str) -> FloatArray:
    """``values`` as float64 of this shape; the one place where shapes and types are checked.

    Raises:
        ModelError: they have another shape or are not real numbers; the message gives both shapes.
    """
    if values is None:
        raise ModelError(f"The calculator {name} gave no {what.removeprefix('the ')} (None).")
    try:
        array = np.ma.filled(np.ma.asarray(values), np.nan) if np.ma.isMaskedArray(values) else np.asarray(values)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"The calculator {name} gave {what} that are not an array of numbers: {error}.") from error
    if array.dtype.kind not in "fiu":
        raise ModelError(f"The calculator {name} gave {what} of type {array.dtype}; they must be real numbers.")
    if array.shape != shape:
        raise ModelError(f"The calculator {name} gave {what} of shape {array.shape}; the shape must be {shape}.")
    return np.array(array, dtype=np.float64)


def _number(value: Any, name: str) -> float:
    """An energy: a number, or an array or tensor that holds one number, as ASE takes it; NaN where it is masked.

    Raises:
        ModelError: it is not a number, or several.
    """
    if value is None or isinstance(value, str | bytes | bool):
        raise ModelError(f"The calculator {name} gave the energy {value!r}, which is not a number.")
    try:
        array = np.asarray(value)
        if np.ma.isMaskedArray(value):
            array = np.ma.filled(value.astype(np.float64), np.nan)
        if array.dtype.kind == "O" and array.size == 1:
            array = np.asarray(float(array.item()))
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"The calculator {name} gave an energy that is not a number: {error}.") from error
    if array.dtype.kind not in "fiu":
        raise ModelError(f"The calculator {name} gave an energy of type {array.dtype}; it must be a real number.")
    if array.size != 1:
        raise ModelError(f"The calculator {name} gave an energy of shape {array.shape}; it must be one number.")
    return float(array.reshape(()))


def _stress(calculator: Any, atoms: Atoms, name: str) -> FloatArray:
    """[3, 3], eV/Å³, from six numbers in Voigt order (xx, yy, zz, yz, xz, xy) or from a tensor, whose symmetric part is taken."""
    given = calculator.get_stress(atoms)
    if np.shape(given) == (3, 3):
        tensor = _array(given, (3, 3), "the stress", name)
        return (tensor + tensor.T) / 2
    six = _array(given, (6,), "the stress", name)
    return np.asarray(six[np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])], dtype=np.float64)


class _Output:
    """Redirects standard output to standard error while any thread runs a model's code."""

    lock: ClassVar[threading.Lock] = threading.Lock()
    depth: ClassVar[int] = 0
    kept_descriptor: ClassVar[int | None] = None
    kept_stream: ClassVar[Any] = None

    @classmethod
    def divert(cls) -> None:
        with cls.lock:
            cls.depth += 1
            if cls.depth > 1:
                return
            _flush(sys.stdout)
            cls.kept_stream = sys.stdout
            with suppress(OSError):
                # Compiled code writes to the file descriptor, not to sys.stdout.
                cls.kept_descriptor = os.dup(1)
                os.dup2(2, 1)
            sys.stdout = sys.stderr

    @classmethod
    def put_back(cls) -> None:
        with cls.lock:
            cls.depth -= 1
            if cls.depth > 0:
                return
            _flush(cls.kept_stream)
            sys.stdout = cls.kept_stream
            if cls.kept_descriptor is not None:
                os.dup2(cls.kept_descriptor, 1)
                os.close(cls.kept_descriptor)
                cls.kept_descriptor = None


def _flush(stream: Any) -> None:
    with suppress(AttributeError, OSError, ValueError):
        stream.flush()


class _KnownErrors:
    """Turns an exception that is neither ours nor one of :data:`~ncbench.errors.CODE_ERRORS` into a RuntimeError, a failure of the job."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (
            kind is None
            or not issubclass(kind, Exception)
            or issubclass(kind, (NcbenchError, MemoryError, *CODE_ERRORS))
        ):
            return
        first = next(iter(str(error).strip().splitlines()), "no message")
        # contextlib would take a StopIteration out of the chain again.
        cause = None if isinstance(error, StopIteration) else error
        raise RuntimeError(f"{self._name} raised {kind.__name__}: {first}") from cause


@contextmanager
def contained(name: str) -> Iterator[None]:
    """Run a model's code: its output goes to standard error, the working folder is restored, and ``sys.exit`` is a failure.

    Raises:
        ModelError: the code called ``sys.exit``.
        RuntimeError: it raised an exception of a class of its own, or a bare ``Exception``.
    """
    try:
        folder = os.getcwd()  # noqa: PTH109 - a Path costs more than the call
    except OSError:
        folder = ""
    _Output.divert()
    try:
        with _KnownErrors(name):
            yield
    except SystemExit as error:
        raise ModelError(
            f"The calculator {name} called sys.exit({error.code!r}) instead of returning a result."
        ) from error
    finally:
        _Output.put_back()
        if folder:
            os.chdir(folder)
