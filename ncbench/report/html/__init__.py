"""The report: one HTML page that tells, without anything beside it, what each model may be used for and why."""
