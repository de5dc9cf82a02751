"""Result of an assessment: an answer for each use, remedies with cost and verification, and the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ncbench.assess.evidence import Use
from ncbench.report.decide import EXCESS_K, HEATING_K, HEATING_POWER, HEATING_PS, LOCAL_TAU_PS, SUCCESS, Answer
from ncbench.report.judge import LOCAL, Judgement

if TYPE_CHECKING:
    import pandas as pd

MINUTE = 60.0
VERIFIED, PREDICTED, OPEN = "verified", "predicted", "open"
SAFE = {Answer.YES: "safe", Answer.NO: "unsafe", Answer.UNSURE: "open", Answer.UNKNOWN: "open"}
ANSWERS = ("safe", "unsafe", "open")


LIMITS = {
    Use.NVE: f"NVE: energy drift below {HEATING_POWER:.3f} meV/atom/ps ({HEATING_K:g} K in {HEATING_PS:g} ps)",
    Use.LOCAL: f"{LOCAL}: heated by less than {EXCESS_K:g} K under Langevin with τ = {1000 * LOCAL_TAU_PS:g} fs",
    Use.GLOBAL: f"global thermostat: every element within {EXCESS_K:g} K",
    Use.NPT: f"constant pressure: enthalpy drift below {HEATING_POWER:.3f} meV/atom/ps",
    Use.RELAX: f"relaxation: {SUCCESS:g} % converge",
}
"""What safe means, in the words of a terminal."""
ERRORS = "In brackets: one standard error, in the last digits; '?': the run is too short to know the error; it can show that the heating is above its limit, and decides nothing else. Open: not decided yet. P: power of heating; τ = 1/γ."


def legend(uses: Sequence[Use]) -> str:
    """What the answers on these uses mean."""
    return f"Safe, by three standard errors: {'; '.join(LIMITS[use] for use in uses)}.\n{ERRORS}"


@dataclass(frozen=True)
class Remedy:
    """A change that makes an unsafe use safe, with its cost."""

    use: Use
    """The use that it makes safe where it is ``verified``."""
    what: str
    price: str
    status: str
    """``verified`` by a run at three standard errors; ``predicted`` from the measured power where no run could decide; ``open``: neither."""
    evidence: str
    """The numbers, and which of them are verified."""
    tau_fs: float | None = None
    """Longest time constant of a white-noise thermostat, fs; ``None`` for other remedies."""
    command: str = ""
    """The command that tries what was not tried, as it can be pasted; empty where nothing is left, or the model has no name on a command line."""
    purpose: str = "to try it"
    """What the command is for."""


@dataclass
class Assessment:
    """Assessment of one model in one force mode."""

    model: str
    mode: str
    judgements: dict[Use, Judgement] = field(default_factory=dict)
    remedies: list[Remedy] = field(default_factory=list)
    outlook: dict[Use, str] = field(default_factory=dict)
    """Of each open use: what would have to be run next, and how long it would take."""
    steps: list[str] = field(default_factory=list)
    """What was run, in order."""
    system: str = ""
    """The structures, as in the tables' column ``system``; empty where nothing was run."""
    default_system: bool = False
    """No structures were requested: these are the diagnostics' own, which another material's model may not know."""
    cost: str = ""
    """Time of a step of dynamics; empty where it was not measured."""
    timestep_fs: float | None = None
    """Requested time step of the dynamics; ``None``: the system's own."""
    dynamics: str = ""
    """Time step and mean temperature of the dynamics; empty where none were run."""
    failure: str = ""
    """Why nothing could be measured; empty where something was."""
    seconds: float = 0.0
    """Wall time spent."""

    @property
    def label(self) -> str:
        """``MODEL:MODE``."""
        return f"{self.model}:{self.mode}" if self.mode else self.model

    @property
    def where(self) -> str:
        """`` on SYSTEM``; of the diagnostics' own, how to choose another."""
        if not self.system:
            return ""
        return f" on {self.system}" + (" (default; your material: --structure FILE)" if self.default_system else "")

    def answer(self, use: Use | str) -> str:
        """``safe``, ``unsafe`` or ``open``. Raises ValueError for an unknown use."""
        use = Use(use)
        return SAFE[self.judgements[use].answer] if use in self.judgements else "open"

    @property
    def verdict(self) -> str:
        """One sentence: unsafe uses with the verified remedies, then open and safe ones."""
        if self.failure:
            return f"open, because it failed: {self.failure}"
        by_answer = {answer: [use.label for use in self.judgements if self.answer(use) == answer] for answer in ANSWERS}
        parts = []
        if by_answer["unsafe"]:
            verified = [one.what for one in self.remedies if one.status == VERIFIED]
            helps = f" (verified remedies: {'; '.join(verified)})" if verified else ""
            parts.append(f"unsafe for {', '.join(by_answer['unsafe'])}{helps}")
        for answer, word in (("open", "open for"), ("safe", "safe for")):
            if by_answer[answer]:
                parts.append(f"{word} {', '.join(by_answer[answer])}")
        return "; ".join(parts) or "nothing was measured"

    @property
    def undecided(self) -> bool:
        """Whether a use or a remedy is open, so that more time might decide it."""
        return bool(self.outlook) or any(one.status != VERIFIED for one in self.remedies)

    def to_frame(self) -> pd.DataFrame:
        """One row per use: ``model``, ``force_mode``, ``use``, ``answer`` (``safe``, ``unsafe`` or ``open``), ``evidence`` (numbers with their units), ``rule`` and ``outlook``."""
        import pandas as pd

        uses = self.plain()["uses"]
        return pd.DataFrame(
            [{"model": self.model, "force_mode": self.mode, **use} for use in uses],
            columns=["model", "force_mode", "use", "answer", "evidence", "rule", "outlook"],
        )

    def __str__(self) -> str:
        """As the command line prints it: a line for each use and each remedy, and the verdict."""
        lines = [
            f"{self.label}{self.where}, {self.seconds / MINUTE:.1f} min"
            + (f", {self.cost}" if self.cost else "")
            + (f"; dynamics: {self.dynamics}" if self.dynamics else "")
        ]
        for use, judgement in self.judgements.items():
            outlook = f" ({self.outlook[use]})" if use in self.outlook else ""
            lines.append(f"  {self.answer(use):7s} {judgement.use}: {judgement.evidence}{outlook}")
        for one in self.remedies:
            lines.append(f"  remedy  {one.what} ({one.status}; {one.price}): {one.evidence}")
            lines += [f"          {one.purpose}: {one.command}"] if one.command else []
        lines.append(f"  {self.label} is {self.verdict}.")
        return "\n".join(lines)

    def plain(self) -> dict[str, Any]:
        """As JSON values; ``docs/assess.schema.json`` describes them."""
        return {
            "model": self.model,
            "force_mode": self.mode,
            "system": self.system,
            "verdict": self.verdict,
            "uses": [
                {
                    "use": str(use),
                    "answer": self.answer(use),
                    "evidence": one.evidence,
                    "rule": one.rule,
                    "outlook": self.outlook.get(use, ""),
                }
                for use, one in self.judgements.items()
            ],
            "remedies": [
                {
                    "use": str(r.use),
                    "what": r.what,
                    "price": r.price,
                    "status": r.status,
                    "evidence": r.evidence,
                    "command": r.command,
                }
                for r in self.remedies
            ],
            "cost": self.cost,
            "timestep_fs": self.timestep_fs,
            "dynamics": self.dynamics,
            "failure": self.failure,
            "steps": self.steps,
            "seconds": self.seconds,
        }
