"""Tables, figures, verdicts and pages made from a results folder, without running a model."""
