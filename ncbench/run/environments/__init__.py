"""Isolated environments: one per model family that cannot share a process with the others."""
