"""From a model to a decision: diagnostics are run until each use is decided or the time is spent."""
