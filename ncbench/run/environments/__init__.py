"""Isolated environments: one a model family that cannot share a process with the others."""
