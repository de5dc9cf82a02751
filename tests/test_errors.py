"""Messages of errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncbench.errors import StoreError, UsageError
from ncbench.report.read import read


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("It cannot be read: not a parquet file..", "It cannot be read: not a parquet file."),
        ("It cannot be read: is this a file?.", "It cannot be read: is this a file?"),
        ("It cannot be read: stop!.", "It cannot be read: stop!"),
        ("It is 'x'.", "It is 'x'."),
        ("It goes on...", "It goes on..."),
    ],
)
def test_a_message_ends_with_one_full_stop(message: str, printed: str) -> None:
    error = UsageError(message, hint="Write y.")
    assert str(error) == f"{printed} Write y."
    assert error.args == (printed,)


def test_a_damaged_table_is_one_sentence_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "lambda.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(StoreError) as refused:
        read(tmp_path)
    assert ".." not in str(refused.value).replace(str(tmp_path), "")
    assert "?." not in str(refused.value)
