"""Tables, figures, verdicts and pages made from a results folder; nothing here runs a model."""
