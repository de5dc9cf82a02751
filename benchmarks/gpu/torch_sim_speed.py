"""Steps a second of torch-sim with metatomic's own model interface, beside those of ncbench: the same weights, structure and numbers of replicas."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from measure_speed import (
    MODELS,
    REPLICAS,
    ROUNDS,
    TEMPERATURE_K,
    TIMESTEP_FS,
    Trajectory,
    loaded,
    seconds,
    spread,
    water,
)

from ncbench.md.run import warm_up
from ncbench.models.registry import WEIGHTS
from ncbench.units import KB

if TYPE_CHECKING:
    from campaign import Call

Row = dict[str, Any]


class Peer:
    """R replicas in torch-sim at constant energy."""

    def __init__(self, spec: str, count: int, device: str) -> None:
        import torch_sim
        from torch_sim.models.metatomic import MetatomicModel
        from torch_sim.units import MetalUnits

        self.step = torch_sim.nve_step
        self.timestep = 1e-3 * TIMESTEP_FS * MetalUnits.time
        self.model = MetatomicModel(
            str(WEIGHTS / "pet-m.pt"),
            device=device,
            compute_stress=False,
            non_conservative="forces" if spec.endswith("direct") else False,
            uncertainty_threshold=None,
        )
        state = torch_sim.initialize_state([water()] * count, device=torch.device(device), dtype=torch.float32)
        self.state = torch_sim.nve_init(state, self.model, kT=torch.tensor(TEMPERATURE_K * KB, device=device))

    def advance(self, steps: int) -> None:
        """Steps from where the last call ended."""
        for _ in range(steps):
            self.state = self.step(self.state, self.model, dt=torch.tensor(self.timestep, device=self.state.device))


def beside(call: Call) -> list[Row]:
    """Replica-steps a second of both, in turn, and their ratio."""
    warnings.simplefilter("ignore")
    import torch_sim

    rows: list[Row] = []
    counts = REPLICAS[:1] if call.small else REPLICAS
    cases = [(spec, count) for spec in MODELS for count in counts]
    for place, (spec, count) in enumerate(cases):
        if call.left_s < 20.0 and not call.small:
            rows.append({"model": spec, "replicas": count, "reason": "no time is left"})
            continue
        budget = call.share(0.5 / (len(cases) - place))
        ours = Trajectory(loaded(spec, call.device).bind([water()] * count))
        warm_up(ours.field)
        try:
            peer = Peer(spec, count, call.device)
            steps = 2 if call.small else 5
            for _ in range(2):
                taken = [seconds(lambda one=one, steps=steps: one.advance(steps), call.device) for one in (ours, peer)]
            rounds = 1 if call.small else ROUNDS
            steps = 2 if call.small else max(3, min(300, int(budget / rounds / sum(taken) * steps)))
            rates = [
                [
                    count * steps / seconds(lambda one=one, steps=steps: one.advance(steps), call.device)
                    for one in (ours, peer)
                ]
                for _ in range(rounds)
            ]
        except torch.OutOfMemoryError:
            rows.append({"model": spec, "replicas": count, "reason": "out of memory"})
            continue
        row = spread([one / other for one, other in rates])
        middle = sorted(rates)[len(rates) // 2]
        rows.append(
            {
                "model": spec,
                "replicas": count,
                "peer": f"torch-sim {torch_sim.__version__}",
                "ratio": row["value"],
                "ratio_low": row["low"],
                "ratio_high": row["high"],
                "ours": middle[0],
                "theirs": middle[1],
                "unit": "replica-steps/s",
                "steps": steps,
                "rounds": rounds,
            }
        )
    return rows
