"""What was measured: schemas, keys, provenance, the store."""
