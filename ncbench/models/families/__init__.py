"""One folder per model family with everything specific to it: no code outside the folder names a family.

* ``__init__.py``: ``FAMILY``, with the rows of its models, patterns of further names in its package, and its environment. Light imports only:
  it is read by ``ncbench models list``, ``--help`` and the planning of jobs.
* ``adapter.py``: ``load(request, parsed, row)`` and the force field. Imports the family's package at its top, since its classes are
  subclasses of the package's and of torch's: this is why a family is a folder of two modules rather than one module, whose
  classes would have to be defined inside functions. It is imported when a model of the family is loaded.
* ``constraints.txt``: the versions its environment was tested with, written by ``python -m ncbench.run.environments.pins ENVIRONMENT``.

:func:`ncbench.models.family.families` finds the folders; a third-party package offers its :class:`~ncbench.models.family.Family`
through the entry-point group ``ncbench.families``.
"""
