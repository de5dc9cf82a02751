"""Observables of trajectories, independent of the runs that produced them: structure, spectra, diffusion, temperatures. Only NumPy, SciPy and ASE are used."""
