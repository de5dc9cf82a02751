"""Tables and figures from stored results. Nothing here imports torch."""
