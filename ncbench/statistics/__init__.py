"""Error bars of correlated series, intervals of rates, and numbers with errors as text."""
