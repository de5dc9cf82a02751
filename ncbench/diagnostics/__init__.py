"""The diagnostics, each with its settings, function and tables."""
