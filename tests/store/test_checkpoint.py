"""A checkpoint returns the stored bits, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ncbench.store.checkpoint import FileCheckpoint, decode, encode
from ncbench.store.files import DamagedFileWarning

arrays = hnp.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_, np.complex128]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | arrays
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.sampled_from(["__array__", "__scalar__", "__mapping__"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray):
        return (
            isinstance(second, np.ndarray)
            and first.dtype == second.dtype
            and first.shape == second.shape
            and first.tobytes() == second.tobytes()
        )
    if isinstance(first, dict):
        return (
            isinstance(second, dict) and first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
        )
    if isinstance(first, list):
        return isinstance(second, list) and len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, float):
        return isinstance(second, float) and (
            np.float64(first).tobytes() == np.float64(second).tobytes() or (np.isnan(first) and np.isnan(second))
        )
    return type(first) is type(second) and first == second


@given(st.dictionaries(st.text(), values, max_size=5))
def test_every_state_is_restored_bitwise(state: dict[str, Any]) -> None:
    assert same(state, decode(encode(state)))


@given(st.dictionaries(st.text(), values, max_size=3), st.data())
def test_truncated_and_altered_files_are_detected(state: dict[str, Any], data: st.DataObject) -> None:
    content = encode(state)
    place = data.draw(st.integers(0, len(content) - 1))
    altered = bytes([content[place] ^ data.draw(st.integers(1, 255))])
    for broken in (content[:place], content[:place] + altered + content[place + 1 :]):
        with pytest.raises(ValueError, match=r"checkpoint|checksum"):
            decode(broken)


def test_the_state_of_a_random_generator_continues_its_stream(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rng.normal(size=7)
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.bin")
    checkpoint.save({"rng": rng.bit_generator.state})
    again = np.random.default_rng(2)
    loaded = checkpoint.load()
    assert loaded is not None
    again.bit_generator.state = loaded["rng"]
    assert again.normal(size=5).tobytes() == rng.normal(size=5).tobytes()


@pytest.mark.parametrize("value", [object(), {1: 2}, {1, 2}, b"x", np.array([object()])])
def test_states_that_need_pickle_are_refused_and_the_last_state_kept(tmp_path: Path, value: Any) -> None:
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.bin")
    checkpoint.save({"step": 1})
    with pytest.raises(TypeError, match="checkpoint"):
        checkpoint.save({"step": 2, "deep": [value]})
    assert checkpoint.load() == {"step": 1}


def test_a_damaged_file_is_named_and_set_aside(tmp_path: Path) -> None:
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.bin")
    for number in (1, 2):
        checkpoint.save({"step": number})
        content = checkpoint.path.read_bytes()
        checkpoint.path.write_bytes(content[: len(content) // 2])
        with pytest.warns(DamagedFileWarning, match=r"checkpoint\.bin is damaged"):
            assert checkpoint.load() is None
        assert (tmp_path / f"checkpoint.bin.damaged-{number}").exists()
    assert not checkpoint.resumed
    assert checkpoint.load() is None
