"""How far the forces of a machine-learned interatomic potential are from a gradient, and what that does to simulations.

Importing this package loads neither torch nor ASE: the command line starts fast and reports start without either.
"""

from __future__ import annotations

__version__ = "0.1.0"
