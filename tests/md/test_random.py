from __future__ import annotations

import numpy as np
import pytest
import torch

from ncbench.md.random import NoiseSource


@pytest.mark.parametrize("shape", [(), (7, 3), (5000, 3)])
def test_noise_of_a_replica_does_not_depend_on_its_batch(shape):
    batch = NoiseSource(5, [0, 1, 2, 3], label="langevin:10")
    alone = NoiseSource(5, [3], label="langevin:10")
    for step in (0, 1, 2, 700, 701, 9000):
        assert torch.equal(batch.normals(step, shape)[:, 3], alone.normals(step, shape)[:, 0])


def test_noise_of_a_step_does_not_depend_on_earlier_steps():
    walked = NoiseSource(5, [1])
    for step in range(100):
        walked.normals(step, (192, 3))
    fresh = NoiseSource(5, [1])
    assert torch.equal(walked.normals(99, (192, 3)), fresh.normals(99, (192, 3)))
    assert torch.equal(walked.normals(3, (192, 3)), fresh.normals(3, (192, 3)))


def test_seeds_labels_replicas_steps_halves_and_purposes_differ():
    base = NoiseSource(5, [0], label="a")
    drawn = [
        base.normals(0, (4,))[0, 0],
        base.normals(0, (4,))[1, 0],
        base.normals(1, (4,))[0, 0],
        base.normals(2**14, (4,))[0, 0],
        base.initial_normals((4,))[0],
        NoiseSource(6, [0], label="a").normals(0, (4,))[0, 0],
        NoiseSource(5, [1], label="a").normals(0, (4,))[0, 0],
        NoiseSource(5, [0], label="b").normals(0, (4,))[0, 0],
    ]
    values = torch.stack(drawn).flatten().tolist()
    assert len(set(values)) == len(values)


def test_gammas_are_the_same_alone_and_have_the_gamma_distributions_moments():
    source = NoiseSource(1, [0, 1], label="svr:10")
    draws = np.stack([source.gammas(step, 3.5).numpy() for step in range(5000)])
    assert np.array_equal(draws[4321, :, 1], NoiseSource(1, [1], label="svr:10").gammas(4321, 3.5)[:, 0].numpy())
    # 20 000 draws of mean 3.5 and variance 3.5: standard error 0.013 of the mean; 4 standard errors.
    assert abs(draws.mean() - 3.5) < 4 * np.sqrt(3.5 / draws.size)


def test_normals_are_standard_and_uncorrelated_between_halves():
    source = NoiseSource(2, [0], label="x")
    draws = np.stack([source.normals(step, (20, 3)).numpy() for step in range(1000)])
    n = draws.size
    assert abs(draws.mean()) < 4 / np.sqrt(n)
    assert abs(draws.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs((draws[:, 0] * draws[:, 1]).mean()) < 4 / np.sqrt(n / 2)
