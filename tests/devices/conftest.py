"""Devices of these tests: the CPU, a CUDA device where there is one, and a simulated one in processes of their own."""

from __future__ import annotations

import pytest
import simulated_device

CUDA = pytest.param("cuda", marks=pytest.mark.gpu)
SIMULATED = pytest.param(simulated_device.NAME, marks=pytest.mark.simulated)
SIMULATED_SLOWLY = pytest.param(simulated_device.NAME, marks=[pytest.mark.simulated, pytest.mark.slow])


@pytest.fixture(params=["cpu", CUDA, SIMULATED_SLOWLY])
def device(request: pytest.FixtureRequest) -> str:
    """Name of the device of a model."""
    return str(request.param)


@pytest.fixture(params=[CUDA, SIMULATED])
def other_device(request: pytest.FixtureRequest) -> str:
    """Name of a device that is not the CPU."""
    return str(request.param)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Autograd counts devices at its first backward pass: the simulated one is registered before the first test, if a test needs it."""
    wanted = [item for item in items if item.get_closest_marker("simulated")]
    reason = simulated_device.unavailable()
    if wanted and not reason:
        simulated_device.register()
    for item in wanted if reason else ():
        item.add_marker(pytest.mark.skip(reason=reason))
