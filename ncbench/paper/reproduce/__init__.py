"""Reproduction of the paper's tables and figures: required jobs, estimated times, and the comparison."""
