"""``lambda_of``: models of every kind give the same λ, and model, structure and global state are left unchanged."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from swarm import Swarm

import ncbench
from ncbench import lambda_of
from ncbench.errors import NotDifferentiableError, StructureError, UnsupportedError, UsageError
from ncbench.models.families.analytic_ase import lennard_jones, solenoidal

ROOT = Path(__file__).resolve().parents[2]


def atoms_of(n: int = 6, seed: int = 0) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = Atoms(f"C{n}", positions=2.0 * np.arange(n)[:, None] + rng.uniform(-0.5, 0.5, (n, 3)))
    atoms.arrays["sites"] = atoms.positions - 0.1
    return atoms


def swarm(positions: torch.Tensor) -> torch.Tensor:
    """:class:`swarm.Swarm` of carbon once more, as a user writes forces."""
    away = positions[:, None] - positions[None]
    squared = away.square().sum(-1)
    strength = 6 * (-squared / 9).exp().sum(-1)
    return strength[:, None] * ((-squared / 4).exp()[..., None] * away).sum(1)


class Model(torch.nn.Module):
    """A force head in float32, with dropout and batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.inner = torch.nn.Sequential(
                torch.nn.Linear(3, 16),
                torch.nn.BatchNorm1d(16),
                torch.nn.Tanh(),
                torch.nn.Dropout(0.5),
                torch.nn.Linear(16, 3),
            )

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        return self.inner(positions - positions.mean(0))


EXACT = float(lambda_of(Swarm(), atoms_of(), method="exact"))


@pytest.mark.parametrize("method", ["exact", "stochastic", "finite-difference", "auto"])
def test_a_callable_has_the_lambda_of_the_equivalent_force_field(method):
    result = lambda_of(swarm, atoms_of(), method=method)
    assert abs(result.value - EXACT) <= 4 * result.standard_error + 1e-9
    assert result.low <= EXACT <= result.high or result.method == "stochastic"
    assert result.above_floor
    assert float(result) == result.value
    assert result.method == ("exact" if method == "auto" else method)


def test_probing_stops_at_the_target_error():
    result = lambda_of(swarm, atoms_of(), target_error=0.05)
    assert result.standard_error <= 0.05 * result.value
    assert result.probes >= 8
    assert lambda_of(swarm, atoms_of(), target_error=None, probes=9).probes == 9
    # With fewer the interval does not cover as stated.
    assert lambda_of(swarm, atoms_of(), target_error=None, probes=2).probes == 8


def test_equal_seeds_give_equal_lambda():
    first, again, other = (lambda_of(swarm, atoms_of(), seed=seed, probes=4, target_error=None) for seed in (1, 1, 2))
    assert first.value == again.value != other.value


def test_calculators_and_model_names_are_accepted():
    expected = np.sqrt(2 * 0.05**2 / (3 * 25 + 2 * 0.05**2))
    assert lambda_of("analytic-solenoidal", atoms_of()).value == pytest.approx(expected)
    calculator = lambda_of(solenoidal(), atoms_of(), method="finite-difference")
    assert abs(calculator.value - expected) <= 3 * calculator.standard_error
    assert (calculator.method, calculator.products) == ("finite-difference", 0)
    gradient = lambda_of(lennard_jones(), atoms_of())
    assert not gradient.above_floor
    assert gradient.resolved == "gradient"


def test_a_list_of_structures_gives_a_list_of_results():
    structures = [atoms_of(seed=0), atoms_of(n=4, seed=1)]
    several = lambda_of(swarm, structures, method="exact")
    assert [one.value for one in several] == [lambda_of(swarm, atoms, method="exact").value for atoms in structures]
    assert [one.value for one in lambda_of(swarm, tuple(structures[:1]), method="exact")] == [EXACT]


def test_torch_dtype_and_device_are_accepted():
    named = lambda_of(Model(), atoms_of(), method="exact", dtype="float32", device="cpu")
    assert lambda_of(Model(), atoms_of(), "exact", dtype=torch.float32, device=torch.device("cpu")).value == named.value


def in_external_potential(positions: torch.Tensor) -> torch.Tensor:
    """Atoms in an external potential centred on the origin, and a curl about it."""
    push = -4.0 * positions * positions.square()
    turn = torch.stack([-positions[:, 1], positions[:, 0], 0 * positions[:, 0]], dim=1)
    return swarm(positions) + 1e-3 * push + 0.1 * turn


def network(positions: torch.Tensor) -> torch.Tensor:
    """A network of absolute positions."""
    weights = torch.linspace(-1, 1, 3 * len(positions), dtype=positions.dtype)
    flat = positions.reshape(-1)
    return (torch.tanh(0.3 * flat) * weights + 0.2 * torch.sin(flat.roll(1))).reshape(positions.shape)


@pytest.mark.parametrize("method", ["exact", "stochastic", "finite-difference"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("forces", [in_external_potential, network])
def test_lambda_of_forces_without_translation_invariance(forces, dtype, method):
    positions = torch.as_tensor(atoms_of().positions)
    size = positions.numel()
    jacobian = torch.func.jacrev(forces)(positions).reshape(size, size)
    expected = float((jacobian - jacobian.T).norm() / 2 / jacobian.norm())
    result = lambda_of(forces, atoms_of(), method=method, dtype=dtype, target_error=None, probes=64)
    assert result.resolved == "nonzero"
    assert result.floor < 1e-2
    # Three standard errors, and for products of float32 those of sums of positions of 10 Å.
    assert abs(result.value - expected) <= 3 * result.standard_error + 1e-5 * expected


def test_operations_without_second_derivative_fall_back_to_differences():
    def by_cdist(positions: torch.Tensor) -> torch.Tensor:
        squared = torch.cdist(positions, positions).square()
        strength = 6 * (-squared / 9).exp().sum(-1)
        away = positions[:, None] - positions[None]
        return strength[:, None] * ((-squared / 4).exp()[..., None] * away).sum(1)

    result = lambda_of(by_cdist, atoms_of(), target_error=None, probes=64)
    assert abs(result.value - EXACT) <= 4 * result.standard_error
    assert "cannot be differentiated again" in result.note


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"method": "foo"}, "method = 'foo' is not one of auto, exact"),
        ({"method": "stochastics"}, "Did you mean 'stochastic'"),
        ({"dtype": "float65"}, "dtype = 'float65' is none of"),
        ({"dtype": torch.int64}, "dtype = torch.int64 is none of"),
        ({"device": "gpu"}, "device = 'gpu' is not a device"),
        ({"step_A": 100.0}, "longer than a bond"),
        ({"probes": 0}, "probes = 0"),
    ],
)
def test_wrong_arguments_raise_usage_errors(arguments, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        lambda_of(swarm, atoms_of(), **arguments)


@pytest.mark.parametrize(("atoms", "says"), [([], "empty list"), ("water", "not a str"), ([1.0], "not a list")])
def test_invalid_structures_raise_usage_errors(atoms, says):
    with pytest.raises(UsageError, match=says):
        lambda_of(swarm, atoms)


def test_noisy_forces_are_reported_as_the_reason():
    noise = torch.Generator().manual_seed(0)

    def noisy(positions: torch.Tensor) -> torch.Tensor:
        return swarm(positions.detach()) + 0.05 * torch.randn(positions.shape, generator=noise)

    with pytest.raises(UnsupportedError, match="noisy or jump"):
        lambda_of(noisy, atoms_of(), step_A=1e-3)


def test_a_detached_graph_falls_back_to_differences():
    result = lambda_of(lambda x: swarm(x.detach()), atoms_of(), target_error=None, probes=64)
    assert abs(result.value - EXACT) <= 4 * result.standard_error
    assert "utograd does not reach" in result.note
    with pytest.raises(NotDifferentiableError, match="not reach"):
        lambda_of(lambda x: swarm(x.detach()), atoms_of(), method="exact")


def held(model: torch.nn.Module) -> list[object]:
    """Four ways of handing over a module."""

    class Holder:
        def __init__(self) -> None:
            self.model = model

        def forces(self, positions: torch.Tensor) -> torch.Tensor:
            return self.model(positions.float())

    return [model, lambda positions: model(positions.float()), Holder().forces, model.forward]


@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_model_and_global_state_are_unchanged(mode, way):
    model = Model()
    model.inner[3].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training = [module.training for module in model.modules()]
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002  # the state that older code draws from
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    with mode():
        grad = torch.is_grad_enabled()
        result = lambda_of(held(model)[way], atoms_of(), **({"dtype": "float32"} if way == 3 else {}))
        assert torch.is_grad_enabled() == grad
    assert [module.training for module in model.modules()] == training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]  # noqa: NPY002
    assert torch.get_default_dtype() is torch.float32
    # In eval mode all ways are one model; with dropout no two calls would agree.
    reference = lambda_of(Model().eval(), atoms_of(), method="exact")
    assert abs(result.value - reference.value) <= 4 * result.standard_error


def test_random_draws_of_the_model_do_not_change_global_random_states():
    def drawing(positions: torch.Tensor) -> torch.Tensor:
        return swarm(positions) + 0.0 * (random.random() + np.random.rand() + torch.rand(1))  # noqa: NPY002  # as it may

    torch.manual_seed(1)
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    torch.set_default_dtype(torch.float64)
    try:
        lambda_of(drawing, atoms_of(), probes=4, target_error=None)
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]  # noqa: NPY002


def test_training_can_continue_afterwards():
    model, x = Model(), torch.as_tensor(atoms_of().positions, dtype=torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = lambda_of(model, atoms_of(), method="exact").value
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    assert lambda_of(model, atoms_of(), method="exact").value != before


def test_training_mode_is_restored_after_an_error():
    model = Model()
    with pytest.raises(UsageError, match=r"forces of shape \(6, 3\), not \(6,\)"):
        lambda_of(lambda x: model(x.float()).sum(1), atoms_of())
    assert model.training


@pytest.mark.parametrize(
    ("model", "atoms", "error", "says"),
    [
        (3.0, atoms_of(), UsageError, "not a float"),
        (swarm, Atoms(), StructureError, "no atoms"),
        (lambda x: 0 * x, atoms_of(), UnsupportedError, "Jacobian is zero"),
        (lambda x: x * torch.nan, atoms_of(), UnsupportedError, "not finite"),
        (swarm, Atoms("C", positions=[[0, 0, 0]]), UnsupportedError, "single free atom"),
        ("no-such-model", atoms_of(), UsageError, "There is no model"),
    ],
)
def test_undefined_lambda_raises_with_the_reason(model, atoms, error, says):
    with pytest.raises(error, match=says):
        lambda_of(model, atoms)


@pytest.mark.gpu
def test_lambda_is_computed_on_the_device_of_the_model():
    result = lambda_of(Model().cuda(), atoms_of(), method="exact")
    reference = lambda_of(Model(), atoms_of(), method="exact")
    assert result.value == pytest.approx(reference.value, rel=1e-4)


def test_importing_lambda_of_does_not_load_torch():
    code = "import sys, ncbench; assert 'lambda_of' in dir(ncbench); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert ncbench.LambdaResult.__name__ == "LambdaResult"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ncbench.nothing  # noqa: B018  # asking is the test


def test_the_readme_s_example_runs(tmp_path, monkeypatch):
    (block,) = [
        code
        for code in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
        if "lambda_of" in code
    ]
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)  # noqa: S102  # our own text
    assert not list(tmp_path.iterdir())
    assert 0.0 < names["result"].value < 1.0
