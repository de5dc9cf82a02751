"""Making the paper's tables and figures again: what each needs, how long it will take, and ours beside theirs."""
