"""The diagnostics in Python, for notebooks and training loops: no files, no global state changed.

``from ncbench import lambda_of`` loads this package; importing ``ncbench`` alone loads no torch. Names are exported by "X as X"; ``ncbench.__all__`` lists them.
"""

# ruff: noqa: I001
# One import for each module; "as" makes a name public to type checkers.

from __future__ import annotations

from ncbench.api.analysis import (
    Analysis as Analysis,
    analyse as analyse,
)
from ncbench.api.decisions import (
    assess as assess,
    check as check,
)
from ncbench.api.heating import (
    HeatingResult as HeatingResult,
    predict_heating as predict_heating,
)
from ncbench.api.lambda_ import (
    LambdaResult as LambdaResult,
    lambda_of as lambda_of,
)
from ncbench.api.measurement import (
    Measurement as Measurement,
    accuracy as accuracy,
    compare_engines as compare_engines,
    consistency as consistency,
    evaluate as evaluate,
    measure as measure,
    mts as mts,
)
from ncbench.api.measurement import (
    mts_design as mts_design,
    npt as npt,
    nve_drift as nve_drift,
    nvt as nvt,
    phonon_smoothness as phonon_smoothness,
    relax as relax,
    timing as timing,
    work_loop as work_loop,
)
from ncbench.api.plots import Plot as Plot
from ncbench.api.results import (
    LoadedResults as LoadedResults,
    load_results as load_results,
)
from ncbench.assess.result import Assessment as Assessment
from ncbench.check.outputs import CheckResult as CheckResult
from ncbench.prediction.antisymmetry_loss import antisymmetry_loss as antisymmetry_loss
from ncbench.prediction.heating_loss import (
    HeatingBands as HeatingBands,
    heating_loss as heating_loss,
)
