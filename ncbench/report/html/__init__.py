"""The report: one self-contained HTML page with the uses that each model is suited for, and the evidence."""
