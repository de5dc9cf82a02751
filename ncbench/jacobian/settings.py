"""Settings of the measurement of λ, and the choice of the method for a model and a structure. Imports neither torch nor ASE."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from ncbench.errors import NotDifferentiableError, UsageError, did_you_mean
from ncbench.options import KEYED_IF_SET, Option

if TYPE_CHECKING:
    from ncbench.models.interface import ModelCard

Method = Literal["auto", "exact", "stochastic", "coloured", "finite-difference"]
Resolve = Literal["none", "atoms", "pairs"]
DENSE_ATOMS = 512
"""Largest structure for which ``auto`` computes a dense Jacobian if blocks are requested; larger ones are coloured."""
PRODUCT_COST = 2.5
"""Cost of a product with the Jacobian or its transpose in force calls, for estimates of a job's time."""
ROW_COST = 1.5
"""The same of a row of a whole Jacobian, computed in batches; two where differences are cheaper and ``auto`` takes them. Measured with the bundled model: 1.1 to 1.4
by products. Direct forces of PETs of two layers take less, since their Jacobian is not computed row by row: 0.15 of water64."""
LARGEST_GRADIENT = 4.0e-4
"""Forces are called a gradient only if λ is shown to be below this: a tenth of the smallest λ of a direct model in Bigi, Langer & Ceriotti (2025),
0.004. Heating goes as λ², so that it is a hundred times less. A coarse floor (differences of float32 forces) cannot show it."""
AUTOGRAD_TOLERANCE = {"float32": 3.0e-3, "float64": 3.0e-5}
"""Deviation of Jacobian products from differences of the forces, relative to J, that differences in this precision do not resolve: rounding ε|f|/h and truncation at the steps of
:mod:`ncbench.jacobian.autograd_check`, with a margin for stiff bonds. A part of J that autograd misses is found only above it."""
LONGEST_STEP_A = 1.0
"""A displacement by a bond length is not a valid step of a derivative."""


@dataclass(frozen=True, kw_only=True)
class LambdaSettings:
    """How λ is measured."""

    method: Annotated[
        Method,
        Option(
            "How the Jacobian is computed; auto chooses by size, by the model's capabilities and by measured cost.",
            metavar="auto|exact|stochastic|coloured|finite-difference",
        ),
    ] = "auto"
    """``auto``: the whole Jacobian up to ``exact_max_atoms`` or if blocks are requested, by products, by colours above 512 atoms, or,
    where autograd does not reach the positions or differences cost much less, by differences; random probes otherwise. Forces declared conservative
    of more than five atoms are first measured by a few random products, which are enough where λ is zero to rounding, unless blocks are requested."""
    resolve: Annotated[
        Resolve,
        Option(
            "Also write λ by atom, species and mode; with pairs, λ_ij against distance and its figure.",
            metavar="none|atoms|pairs",
        ),
    ] = "none"
    """``atoms`` writes λ_i, pairs of elements and modes; ``pairs`` also λ_ij against distance. Both need the whole Jacobian."""
    step_A: Annotated[
        float | None,
        Option("Finite-difference step; determined for the model by default.", flag="--step", metavar="Å"),
    ] = None
    """Central-difference step, Å; ``None`` determines it for the model."""
    scan_step: Annotated[bool, Option("Also λ against the step over four decades, with a verdict.")] = False
    """Also λ against the step, over four decades."""
    reach_A: Annotated[
        float | None,
        Option(
            "Distance at which the coloured method truncates; the model's receptive field by default.",
            flag="--reach",
            metavar="Å",
        ),
    ] = None
    """Coloured: truncation distance of the blocks, Å; ``None`` for the model's receptive field."""
    protocol: Annotated[
        Literal["ml-peg-lambda"] | None,
        Option(
            "Measure as another suite does, by default on its structures, and give its number; other options override single constants.",
            metavar="ml-peg-lambda",
        ),
    ] = field(default=None, metadata={KEYED_IF_SET: True})
    stress: Annotated[bool, Option("Also the asymmetry of forces under strain and stresses.")] = False
    """Also the asymmetry of forces against strain and stresses against positions."""
    probes: Annotated[
        int,
        Option("Random probes; at least 8 by Jacobian products and 16 by differences are drawn.", metavar="N"),
    ] = 16
    target_error: Annotated[float | None, Option("Stop at this relative standard error of λ.", metavar="X")] = None
    """Relative standard error at which the stochastic method stops."""
    exact_max_atoms: Annotated[
        int, Option("Largest structure for which auto takes the whole Jacobian.", metavar="N")
    ] = 64
    batch: Annotated[int | None, Option("Structures in one model call.", metavar="R")] = None
    """Copies of the structure in one model call; ``None`` fits it to structure and device."""
    memory_GiB: float = 10.0
    """Above this, stochastic products go in one direction only, which takes less than half the memory."""
    sibling_floor: bool = True
    """For direct forces, also measure λ of the model's conservative mode and raise the floor to it."""

    def __post_init__(self) -> None:
        for name, known in (("method", get_args(Method)), ("resolve", get_args(Resolve))):
            value = getattr(self, name)
            if value not in known:
                near = did_you_mean(str(value), known)
                raise UsageError(f"{name} = {value!r} is not one of {', '.join(known)}.", hint=near)
        for name in ("step_A", "reach_A", "target_error", "memory_GiB"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} = {value} is not a positive number.")
        if self.step_A is not None and self.step_A > LONGEST_STEP_A:
            raise UsageError(
                f"step_A = {self.step_A:g} Å is longer than a bond: such differences do not approximate a derivative.",
                hint=f"Use at most {LONGEST_STEP_A:g}, or leave it out to have it determined.",
            )
        for name in ("probes", "exact_max_atoms", "batch"):
            value = getattr(self, name)
            if value is not None and value < (0 if name == "exact_max_atoms" else 1):
                raise UsageError(f"{name} = {value} is too small.")


def choose_method(card: ModelCard, n_atoms: int, settings: LambdaSettings, *, black_box: str = "") -> str:
    """The method that ``auto`` chooses.

    Args:
        card: the model's card.
        n_atoms: of the structure.
        settings: the requested settings.
        black_box: why its Jacobian products cannot be used although the card declares them; empty if they can.

    Raises:
        NotDifferentiableError: a method that needs products, for a model without them.
        UsageError: blocks are requested from the stochastic method, which does not compute them.
    """
    if settings.resolve != "none" and settings.method == "stochastic":
        raise UsageError(
            f"--resolve {settings.resolve} needs blocks of the Jacobian, which --method stochastic does not compute.",
            hint="Use --method exact, coloured or finite-difference.",
        )
    differentiable = card.differentiable and not black_box
    if settings.method in ("exact", "coloured") and not differentiable:
        why = black_box or "autograd does not reach the positions"
        raise NotDifferentiableError(
            f"--method {settings.method} needs Jacobian products, and those of {card.label} cannot be used: {why.rstrip('.')}.",
            hint="Use --method finite-difference or stochastic.",
        )
    if settings.method != "auto":
        return settings.method
    if settings.resolve == "none" and n_atoms > settings.exact_max_atoms:
        return "stochastic"
    if not differentiable:
        return "finite-difference"
    can_colour = card.receptive_A is not None and not card.torque_removed
    return "coloured" if n_atoms > DENSE_ATOMS and can_colour else "exact"


def fitting_batch(card: ModelCard, n_atoms: int, settings: LambdaSettings, *, products: bool = False) -> int:
    """Copies of the structure in one model call: as many as keep the device busy, and no more than 32 on a CPU, 128 on a GPU.

    For Jacobian ``products`` at most 4 on a CPU: each copy is linearized once, which costs a force call or more, while further products with the same
    graph do not. With a fixed cost of a call as large as the work of n atoms and k products to compute, √(kn/N) copies are the cheapest: two to nine for
    whole Jacobians (k = 3N) of SevenNet-0 and PET. Where the fixed cost is most of a call, below eight atoms, as many as make 32 atoms. Each process that shares a batch has as many.
    """
    if settings.batch is not None:
        return settings.batch
    if card.device.startswith("cuda"):
        atoms, most = 8192, 128
    else:
        atoms, most = (96, max(4, 32 // n_atoms)) if products else (192, 32)
    return card.processes * max(1, min(most, atoms // n_atoms))
