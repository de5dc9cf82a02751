"""Thermodynamic logs of molecular dynamics that other programs made: drift of the conserved quantity, and what causes it.

**Readers.** Maintained readers of these formats were weighed. ``lammps-logfile`` gives floating-point columns of a LAMMPS log; ASE and OpenMM
have no reader of the logs that they write; i-PI's is part of i-PI. None keeps the printed digits, which the error of a
rounded energy needs, and none reads the text around the columns: units, time step, number of atoms, thermostats. Tables of
numbers are simple to read, so the readers are here (:mod:`ncbench.logs.lammps`, :mod:`ncbench.logs.tabular`, :mod:`ncbench.logs.gpumd`).
HDF5 is not simple: h5py reads it (:mod:`ncbench.logs.hdf5`).

**From a log to an answer.** :func:`ncbench.logs.read.read_log` gives runs, :func:`ncbench.logs.drift.measured` a row for each run,
:func:`ncbench.logs.verdict.verdict` the cause.
"""
