"""Run the next job that is most likely to decide, until each use is decided or the time is spent; remedies are tried before they are named."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ncbench.assess import step_time
from ncbench.assess.evidence import (
    JUDGED,
    Step,
    Use,
    at_time_step,
    dynamics_text,
    explosions,
    first_steps,
    ladder,
    requests,
)
from ncbench.assess.forecast import Speed, needed_ps, predicted_powers
from ncbench.assess.means import Clock, Means, Moment, Question, Ran
from ncbench.assess.own_rows import own_rows
from ncbench.assess.result import Assessment, Remedy
from ncbench.models.registry import parse_request
from ncbench.report import cards
from ncbench.report import judge as rules
from ncbench.report.decide import Answer
from ncbench.report.explosions import Explosion
from ncbench.report.judge import Judgement, judge
from ncbench.report.read import Results, read
from ncbench.statistics.format import duration
from ncbench.types import Status

POINTWISE_SHARE = 0.1
"""Share of the remaining time that a point-wise test may take before a cheaper variant is used."""
MOST_SHARE = 0.5
"""Share of the remaining time above which also the cheaper variant is left out, unless an answer needs it."""
NEEDED = ("timing", "lambda")
NO_RESULT = (Status.FAILED, Status.UNSUPPORTED)


def assess(questions: Sequence[Question], means: Means, *, seconds: float) -> list[Assessment]:
    """Decide the uses of models, each in one force mode, by the judge of :mod:`ncbench.report.judge` at three standard errors.

    What the folder holds counts, and no rung of a use's ladder is run twice, so that a continued assessment has the same rate of wrong decisions.

    Args:
        questions: the models and what is asked.
        means: how jobs are run.
        seconds: wall time to spend on all of them, remedies included; a run that is not expected to end in it is not begun. The time of a
            step and λ are measured in any case.
    """
    clock = Clock(seconds)
    assessments = decide_all([Assessor(question, means, clock) for question in questions])
    labels = [one.label for one in assessments]
    for label, one, question in zip(labels, assessments, questions, strict=True):
        if labels.count(label) > 1:
            # Two files of one name: with their folders.
            one.model = parse_request(question.model).name
    return assessments


def decide_all(assessors: Sequence[Assessor]) -> list[Assessment]:
    """The cheapest run that is expected to decide something of some model, again and again; then costly remedies; then runs that might decide."""
    for assessor in assessors:
        assessor.begin()
    _run_options(assessors, only_deciding=True)
    for assessor in assessors:
        assessor.try_costly_remedies()
    _run_options(assessors, only_deciding=False)
    for assessor in assessors:
        assessor.end()
    return [assessor.found for assessor in assessors]


def _run_options(assessors: Sequence[Assessor], *, only_deciding: bool) -> None:
    while True:
        for assessor in assessors:
            assessor.help()
        options = [(assessor, option) for assessor in assessors for option in assessor.options()]
        options = [one for one in options if one[1].decides or not only_deciding]
        if not options:
            waiting = [assessor for assessor in assessors if assessor.waits()]
            if not any(step_time.is_shorter_now(assessor) for assessor in waiting):
                return
            continue
        assessor, option = min(options, key=lambda one: (not one[1].decides, one[1].seconds))
        assessor.do(option.step)


@dataclass(frozen=True)
class Choice:
    """A step that may be run next."""

    step: Step
    seconds: float
    """Expected."""
    decides: bool
    """It is expected to decide its use, or to show which run would; otherwise it is the longest that fits in the time."""


@dataclass
class Assessor:
    """State of a running assessment."""

    question: Question
    means: Means
    clock: Clock
    speed: Speed = field(default_factory=Speed)
    found: Assessment = field(default_factory=lambda: Assessment("", ""))

    def __post_init__(self) -> None:
        self.tried: set[str] = set()
        self.refused: set[Use] = set()
        self.explosions: dict[Use, Explosion] = {}
        """Of uses whose longer runs would explode too."""
        self.remeasured = 0
        """Measurements of the time of a step because no run fitted in the time."""
        self._helped = False
        self.forces = Judgement(rules.FORCES, Answer.UNKNOWN, "", "")
        self._ladders = {
            use: [self.own(step) for step in ladder(use, seed=self.question.seed, molecules=self.question.molecules)]
            for use in self.question.uses
        }
        self.found.timestep_fs = self.question.timestep_fs
        self.found.default_system = self.question.system is None

    def own(self, step: Step) -> Step:
        """The step with the requested time step of dynamics."""
        return at_time_step(step, self.question.timestep_fs)

    def begin(self) -> None:
        """Run the point-wise tests; where none has a result, nothing else is tried."""
        reasons = []
        for steps in first_steps(self.question.uses, seed=self.question.seed):
            known = any(self.finished(step) for step in steps)
            if steps[0].diagnostic not in NEEDED and not known and not self._may_decide():
                # It would take time from models that can be decided.
                continue
            step = self.variant(steps)
            if step is not None:
                reasons.append(self.do(step))
        if all(reasons):
            self.found.failure = reasons[0]
            self.refused = set(self.question.uses)
        else:
            step_time.after_warm_up(self)

    def variant(self, steps: tuple[Step, ...]) -> Step | None:
        """The most exact variant of a point-wise test that takes little of the time, otherwise the cheapest; ``None`` where that takes most of it."""
        done = [step for step in steps if self.finished(step)]
        cheap = [step for step in steps if self.expected(step) <= POINTWISE_SHARE * self.clock.left()]
        step = next(iter(done + cheap), steps[-1])
        needed = step.diagnostic in NEEDED or self.finished(step)
        return step if needed or self.expected(step) <= MOST_SHARE * self.clock.left() else None

    def help(self) -> None:
        """Try thermostats, once, as soon as dynamics are found unsafe."""
        from ncbench.assess.remedies import thermostat

        if not self._helped and self.unsafe_dynamics():
            self._helped = True
            self._add(thermostat(self))

    def try_costly_remedies(self) -> None:
        """Try multiple time stepping and the model's conservative forces where dynamics are unsafe: runs of some ps each."""
        from ncbench.assess.remedies import conservative, stepping

        if self._helped and self.question.conservative is not None:
            self._add(stepping(self))
            self._add(conservative(self))

    def _add(self, remedy: Remedy | None) -> None:
        if remedy is not None:
            self.found.remedies.append(remedy)

    def end(self) -> None:
        """Name the weakest thermostat that was shown to be enough, and what open uses would take."""
        from ncbench.assess.remedies import weakest_thermostat

        self.found.remedies = [weakest_thermostat(self, remedy) for remedy in self.found.remedies]
        self.found.outlook = {use: text for use in self._open() if (text := self.outlook(use))}
        self.means.watch(Moment(self.question, self.found, "", 0.0, self.clock.left()))

    def results(self) -> Results:
        """The folder's tables, with the rows of the question alone."""
        question = self.question
        return own_rows(
            read(self.means.folder),
            model=self.found.model,
            model_file=question.model_file,
            system=None if question.system is None else question.system.label,
            structures=question.structures,
        )

    def unsafe_dynamics(self) -> list[Use]:
        """Uses with dynamics that are decided to be unsafe."""
        return [use for use in self.question.uses if use is not Use.RELAX and self.found.answer(use) == "unsafe"]

    def affordable(self, step: Step) -> bool:
        """Whether a step is expected to end in the time left; what is finished costs nothing."""
        return self.finished(step) or (self.clock.left() > 0 and self.expected(step) <= self.clock.left())

    def expected(self, step: Step) -> float:
        """Expected wall time of a step, s."""
        return self.speed.seconds(step, self.question.n_atoms)

    def do(self, step: Step) -> str:
        """Run a step, judge what the folder then holds, and learn how long it took; returns why there is no result, empty where there is one."""
        jobs = requests(step, self.question.model, self.question.system)
        expected = 0.0 if self.finished(step) else self.expected(step)
        self.means.watch(Moment(self.question, self.found, step.title, expected, self.clock.left()))
        start = time.monotonic()
        ran = self.means.run(jobs)
        self.tried.add(step.title)
        self._identify(ran)
        if ran.n_run:
            self.speed.learn(step, self.question.n_atoms, time.monotonic() - start)
        self.found.steps.append(step.title)
        self._look()
        self.found.seconds += time.monotonic() - start
        rows = [row for rows in ran.rows.values() for row in rows]
        if any(row["status"] not in NO_RESULT for row in rows):
            return ""
        # Longer runs of what the model refuses would be refused too.
        self.refused |= {
            use for use in step.uses if use in self._ladders and self._ladders[use][0].diagnostic == step.diagnostic
        }
        return str(rows[0]["reason"]) if rows else "no row"

    def _identify(self, ran: Ran) -> None:
        row = next((rows[0] for rows in ran.rows.values() if rows), None)
        if row is not None and row.get("model"):
            self.found.model, self.found.mode = str(row["model"]), str(row.get("force_mode") or "")
            self.found.system = self.found.system or str(row.get("system") or "")

    def _look(self) -> None:
        results = self.results()
        system = results.main_system()
        by_name = {one.use: one for one in judge(results, self.found.model, self.found.mode, system)}
        self.found.judgements = {use: by_name[JUDGED[use]] for use in self.question.uses}
        self.forces = by_name[rules.FORCES]
        self.found.cost = cards.step_time(results, self.found.model, self.found.mode, system)
        self.found.dynamics = dynamics_text(results, self.found.model, self.found.mode, system)
        self.speed.read_timing(results, self.found.model, self.found.mode)
        self.explosions = explosions(results, self.found.model, self.found.mode, system, gradient=self.gradient)

    def _open(self) -> list[Use]:
        return [use for use in self.question.uses if self.found.answer(use) == "open"]

    @property
    def gradient(self) -> bool:
        """λ shows that the forces are a gradient."""
        return self.forces.answer is Answer.YES

    def finished(self, step: Step) -> bool:
        """Whether the folder holds a step."""
        return all(self.means.finished(job) for job in requests(step, self.question.model, self.question.system))

    def _rungs_left(self, use: Use) -> list[Step]:
        """Rungs above the highest that was run, here or in an earlier assessment of the folder."""
        if use in self.refused or use in self.explosions:
            return []
        rungs = self._ladders[use]
        done = [number for number, step in enumerate(rungs) if step.title in self.tried or self.finished(step)]
        return rungs[max(done) + 1 if done else 0 :]

    def _wanted(self, use: Use) -> Step | None:
        """The rung that is expected to decide a use: the next one, or a longer one where a power says that shorter ones cannot."""
        rungs = self._rungs_left(use)
        if not rungs:
            return None
        if use not in (Use.NVE, Use.NPT):
            return rungs[0]
        return next((step for step in rungs if step.length >= self._needed_fs()), rungs[-1])

    def _needed_fs(self) -> float:
        """Length that the predicted power needs: of no heating where λ shows a gradient, else by ``predict``; 0 where nothing is predicted."""
        if self.gradient:
            return 1000.0 * needed_ps(0.0, self.question.n_atoms, gradient=True)
        powers = predicted_powers(self.results(), self.found.model, self.found.mode)
        if powers is None:
            return 0.0
        return 1000.0 * max(needed_ps(power, self.question.n_atoms) for power in powers)

    def _may_decide(self) -> bool:
        """Whether a run that is expected to decide a use fits in the time left."""
        wanted = (self._wanted(use) for use in self.question.uses)
        return any(step is not None and self.affordable(step) for step in wanted)

    def next_step(self, use: Use) -> Choice | None:
        """What should be run next for a use, within the time; ``None`` where nothing fits."""
        wanted = self._wanted(use)
        if wanted is None:
            return None
        prediction = Step("predict", {}, self.question.seed, (Use.NVE, Use.LOCAL))
        if (
            use is Use.NVE
            and not self.gradient
            and prediction.title not in self.tried
            and predicted_powers(self.results(), self.found.model, self.found.mode) is None
            and self.expected(prediction) < self.expected(wanted)
            and self.affordable(prediction)
        ):
            # From here on a prediction costs less than the next run, and tells how long that must be.
            return Choice(prediction, self.expected(prediction), decides=True)
        if self.affordable(wanted):
            return Choice(wanted, self.expected(wanted), decides=True)
        # A shorter run decides less often, but more often than none.
        shorter = [step for step in self._rungs_left(use) if step.length < wanted.length and self.affordable(step)]
        return Choice(shorter[-1], self.expected(shorter[-1]), decides=False) if shorter else None

    def waits(self) -> bool:
        """Whether an open use has a run that does not fit in the time left."""
        return any(self._wanted(use) is not None for use in self._open())

    def options(self) -> list[Choice]:
        """What may be run next, one step for each open use."""
        steps = {use: choice for use in self._open() if (choice := self.next_step(use)) is not None}
        if Use.NVE in steps:
            # Runs at constant energy decide a local thermostat as well.
            steps.pop(Use.LOCAL, None)
        return list(steps.values())

    def outlook(self, use: Use) -> str:
        """What would have to be run next for an open use, and how long it takes."""
        if use in self.explosions:
            return "no other run was made: it would explode too"
        wanted = self._wanted(use)
        if wanted is None:
            return "" if use in self.refused else "every run that is planned for it was made"
        expected = self.expected(wanted)
        takes = f", about {duration(expected)} more" if expected else ""
        return f"next: {_described(wanted)}{takes}"


def _described(step: Step) -> str:
    if step.diagnostic == "relax":
        return f"{step.length:.0f} relaxations"
    return f"{step.diagnostic} of {step.length / 1000.0:g} ps"
