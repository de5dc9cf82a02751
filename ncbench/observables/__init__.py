"""Observables of trajectories, apart from the runs that made them: structure, spectra, diffusion, temperatures. NumPy, SciPy and ASE alone."""
