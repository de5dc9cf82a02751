"""A table whose layout changed can still be read from older files."""

from __future__ import annotations

import pytest

from ncbench.diagnostics.registry import diagnostics
from ncbench.store.tables import UPGRADES

SCHEMAS = [schema for d in diagnostics().values() for schema in (d.schema, *d.side_schemas.values())]


@pytest.mark.parametrize("schema", SCHEMAS, ids=[schema.name for schema in SCHEMAS])
def test_every_older_version_has_its_way_to_the_next(schema):
    assert {(schema.name, version) for version in range(1, schema.version)} <= set(UPGRADES)
