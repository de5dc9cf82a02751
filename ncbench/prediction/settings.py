"""Settings of the predicted heating, the choice between all modes and moments, and the cost. Imports neither torch nor ASE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from ncbench.errors import UnsupportedError, UsageError
from ncbench.jacobian.settings import ROW_COST
from ncbench.md.limits import require_positive, require_timestep
from ncbench.md.settings import parse_thermostat, require_linear, require_non_negative
from ncbench.options import Option
from ncbench.prediction.schemas import EQUILIBRATION_FS

if TYPE_CHECKING:
    from ncbench.models.interface import ModelCard

Modes = Literal["auto", "all", "moments"]
ALL_ATOMS = 512
"""Largest structure of which ``auto`` computes all modes: some minutes, and eight times that for twice the atoms."""
USUAL_REACH_A = 8.0
"""Receptive field in estimates of a job's time, which do not know the model, Å."""
COLOURS = 1.25
"""Colours of a large cell over the cube of its reach in Å: measured in water (0.1 atoms/Å³) with 4.5 and 6 Å, and 0.4 in solid argon, which is less dense."""


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """Thermostats, and settings of the quench."""

    thermostats: Annotated[
        tuple[str, ...],
        Option("Thermostat; repeat it for several.", flag="--thermostat", metavar="langevin:TAU|gle[:FILE]"),
    ] = ("langevin:10", "langevin:100", "langevin:1000", "gle")
    """SVR is not among them: its friction depends on the total kinetic energy, so that the equations are not linear."""
    temperature_K: Annotated[
        float, Option("Temperature of thermostats and starts, K.", flag="--temperature", metavar="K")
    ] = 300.0
    floor_per_cm: Annotated[
        float, Option("Least frequency of a vibration, cm⁻¹.", flag="--frequency-floor", metavar="CM-1")
    ] = 50.0
    quench_steps: Annotated[
        int, Option("Maximum number of steps of the quench; 0 uses the structure unchanged.", metavar="N", minimum=0)
    ] = 200
    quench_fmax: Annotated[float, Option("Largest force at which the quench ends, eV/Å.", metavar="EV/A")] = 0.02
    green_kubo_fs: Annotated[
        float,
        Option(
            "Also the power from the work along a conservative run of this length, fs; 0: none.",
            flag="--green-kubo",
            metavar="FS",
        ),
    ] = 0.0
    trajectory: Annotated[
        str,
        Option(
            "Also the power from the work along this trajectory of the conservative model: frames with momenta at equal intervals.",
            flag="--from-trajectory",
            metavar="FILE",
            file=True,
        ),
    ] = ""
    trajectory_spacing_fs: Annotated[
        float,
        Option(
            "Time between its frames, fs, where the file does not have it.", flag="--trajectory-spacing", metavar="FS"
        ),
    ] = 0.0
    timestep_fs: Annotated[float, Option("Time step of that run, fs.", flag="--timestep", metavar="FS")] = 0.5
    modes: Annotated[
        Modes,
        Option(
            "All vibrations, or moments of their coupling, which give the power to second order; auto takes moments above 512 atoms.",
            metavar="auto|all|moments",
        ),
    ] = "auto"
    """``all``: every vibration, temperatures and limits of stability, with memory O(N²) and time O(N³). ``moments``: powers to second order with an
    error, O(N). ``auto``: moments above :data:`ALL_ATOMS` atoms where the model has products and a receptive field."""
    reach_A: Annotated[
        float | None,
        Option(
            "With moments: distance at which the Jacobian is truncated; the model's receptive field by default.",
            flag="--reach",
            metavar="Å",
        ),
    ] = None
    """With ``moments``: distance at which the Jacobian is truncated, Å; what lies beyond counts as its error."""
    batch: Annotated[int | None, Option("Copies of the structure in one model call.", metavar="R", minimum=1)] = None

    def __post_init__(self) -> None:
        require_timestep("timestep_fs", self.timestep_fs)
        for name in ("temperature_K", "floor_per_cm", "quench_fmax"):
            value = getattr(self, name)
            require_positive(name, value)
            # Beyond this no vibration is left, and squares overflow.
            if name in ("temperature_K", "floor_per_cm") and value > 1e6:
                raise UsageError(f"{name} is {value:g}; the most is 1e+06.")
        if self.modes not in get_args(Modes):
            raise UsageError(f"modes = {self.modes!r} is not one of {', '.join(get_args(Modes))}.")
        if self.reach_A is not None:
            require_positive("reach_A", self.reach_A)
        for name in ("quench_steps", "green_kubo_fs", "trajectory_spacing_fs"):
            require_non_negative(name, getattr(self, name))
        if self.trajectory and not Path(self.trajectory).is_file():
            raise UsageError(f"There is no trajectory '{self.trajectory}'.")
        if not self.thermostats:
            raise UsageError("No thermostat was given.", hint="Write for example langevin:100.")
        for text in self.thermostats:
            require_linear(parse_thermostat(text)[0])

    @property
    def run_steps(self) -> float:
        """Steps of the conservative run and its equilibration."""
        return (self.green_kubo_fs + EQUILIBRATION_FS) / self.timestep_fs if self.green_kubo_fs > 0 else 0.0


def uses_moments(card: ModelCard, n_atoms: int, settings: PredictSettings) -> bool:
    """Whether the power comes from moments.

    Args:
        card: the model's card.
        n_atoms: of the structure.
        settings: the requested settings.

    Raises:
        UnsupportedError: moments are requested of a model without Jacobian products.
    """
    local = settings.reach_A is not None or card.receptive_A is not None
    if settings.modes == "moments" and not card.differentiable:
        raise UnsupportedError(
            f"{card.label} has no Jacobian products, which --modes moments needs.",
            hint="Use --modes all, with a smaller cell.",
        )
    possible = card.differentiable and local and not card.torque_removed
    return settings.modes == "moments" or (settings.modes == "auto" and n_atoms > ALL_ATOMS and possible)


def cost(settings: PredictSettings, n_atoms: int) -> float:
    """The quench, one product per row of J, or three per colour where moments are taken, and the conservative run."""
    rows = 3.0 * n_atoms
    if settings.modes == "moments" or (settings.modes == "auto" and n_atoms > ALL_ATOMS):
        rows = min(rows, 3.0 * math.ceil(COLOURS * (settings.reach_A or USUAL_REACH_A) ** 3))
    return settings.quench_steps + ROW_COST * rows + settings.run_steps
