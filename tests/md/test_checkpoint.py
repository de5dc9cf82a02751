from __future__ import annotations

import numpy as np
from file_checkpoint import FileCheckpoint

from ncbench.md.checkpoint import StagedCheckpoint


def test_stages_are_stored_and_restored_independently(tmp_path):
    path = tmp_path / "checkpoint"
    stages = StagedCheckpoint(FileCheckpoint(path))
    assert stages.stage("a").load() is None
    stages.stage("a").save({"x": np.arange(3), "gone": 1})
    stages.stage("ab").save({"x": 7})
    stages.stage("a").save({"x": np.arange(2)})
    again = StagedCheckpoint(FileCheckpoint(path))
    result = again.stage("a").load()
    assert result is not None
    assert list(result) == ["x"]
    assert result["x"].tolist() == [0, 1]
    assert again.stage("ab").load() == {"x": 7}
    assert again.stage("b").load() is None
