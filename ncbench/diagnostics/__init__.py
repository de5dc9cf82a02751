"""The measurements: settings, a pure function, its tables, each."""
