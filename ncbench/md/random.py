"""Random numbers of a trajectory, as a pure function of (seed, run label, replica, step).

Philox is a counter-based generator: a key selects a stream and a counter a position in it. Keyed by seed, label and replica, with the
block of steps in the counter, the noise of step n needs no history: a checkpoint stores only the step, and
a replica's noise does not depend on the other replicas of its batch. Numbers are drawn on the host in blocks of steps, so that an accelerator receives one array per block.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray

_BLOCK_NUMBERS = 2**14
_BLOCK_STEPS = 256
"""Limits of the number of steps drawn at once per replica. Part of the definition of the noise: changing either changes
every stochastic trajectory."""


class Purpose(IntEnum):
    """Streams of one replica that never overlap."""

    MOMENTA = 0
    THERMOSTAT_NORMAL = 1
    THERMOSTAT_GAMMA = 2
    THERMOSTAT_UNIFORM = 3


class NoiseSource:
    """Noise of R replicas; two draws per step, one for each thermostat half step.

    Args:
        seed: any non-negative integer.
        replicas: a number for each replica, which identifies it in any batch.
        label: name of the run, so that runs with different thermostats and the same seed are independent.
        device: where the tensors go.
    """

    def __init__(
        self, seed: int, replicas: Sequence[int], *, label: str = "", device: torch.device | str = "cpu"
    ) -> None:
        self.replicas = tuple(replicas)
        self.device = torch.device(device)
        # crc32 because hash() differs between processes.
        tag = zlib.crc32(label.encode())
        self._keys = [_key(seed, tag, r) for r in self.replicas]
        # Without the label, so that runs with different thermostats start from the same momenta.
        self._momenta_keys = [_key(seed, 0, r) for r in self.replicas]
        self._cache: dict[tuple[Purpose, tuple[int, ...], float], tuple[int, torch.Tensor]] = {}

    def initial_normals(self, shape: tuple[int, ...]) -> torch.Tensor:
        """[R, *shape] standard normals for drawing momenta."""
        draws = [self._generator(key, Purpose.MOMENTA, 0).standard_normal(shape) for key in self._momenta_keys]
        return self._moved(np.stack(draws))

    def normals(self, step: int, shape: tuple[int, ...]) -> torch.Tensor:
        """[2, R, *shape] standard normals of ``step``."""
        return self._of_step(
            step, Purpose.THERMOSTAT_NORMAL, shape, 0.0, lambda generator, size: generator.standard_normal(size)
        )

    def uniforms(self, step: int, shape: tuple[int, ...]) -> torch.Tensor:
        """[2, R, *shape] numbers of ``step``, uniform in [0, 1)."""
        return self._of_step(
            step, Purpose.THERMOSTAT_UNIFORM, shape, 0.0, lambda generator, size: generator.random(size)
        )

    def gammas(self, step: int, shape_parameter: float) -> torch.Tensor:
        """[2, R] gamma variates of unit scale of ``step``."""
        return self._of_step(
            step,
            Purpose.THERMOSTAT_GAMMA,
            (),
            shape_parameter,
            lambda generator, size: generator.standard_gamma(shape_parameter, size),
        )

    def _of_step(
        self,
        step: int,
        purpose: Purpose,
        shape: tuple[int, ...],
        parameter: float,
        draw: Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]],
    ) -> torch.Tensor:
        block_steps = min(_BLOCK_STEPS, max(1, _BLOCK_NUMBERS // (2 * math.prod(shape))))
        block, offset = divmod(step, block_steps)
        cached = self._cache.get((purpose, shape, parameter))
        if cached is None or cached[0] != block:
            size = (block_steps, 2, *shape)
            draws = np.stack([draw(self._generator(key, purpose, block), size) for key in self._keys], axis=2)
            cached = (block, self._moved(draws))
            self._cache[purpose, shape, parameter] = cached
        return cached[1][offset]

    def _moved(self, drawn: NDArray[np.float64]) -> torch.Tensor:
        """The numbers on the device; from pinned memory, which a GPU reads while the host goes on."""
        numbers = torch.as_tensor(drawn)
        if self.device.type == "cuda":
            numbers = numbers.pin_memory()
        return numbers.to(self.device, non_blocking=True)

    @staticmethod
    def _generator(key: NDArray[np.uint64], purpose: Purpose, block: int) -> np.random.Generator:
        # The two low words count the draws within a block; the two high ones number the block.
        counter = np.array([0, 0, block, purpose], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))


def _key(seed: int, tag: int, replica: int) -> NDArray[np.uint64]:
    return np.random.SeedSequence([seed, tag, replica]).generate_state(2, np.uint64).astype(np.uint64)
