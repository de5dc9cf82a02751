"""Tests that energies, forces and stresses of a model agree with each other and with the symmetries of space."""
