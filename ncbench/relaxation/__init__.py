"""Geometry optimisations, one by one or side by side in batches."""
