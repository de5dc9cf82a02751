"""Storage of results: schemas, keys, provenance, the store."""
