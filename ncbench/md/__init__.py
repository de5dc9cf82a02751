"""Batched molecular dynamics: integrators, thermostats, and the driver that runs them."""
