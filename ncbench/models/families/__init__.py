"""One module a model family: loader, rows of the model table, package names, environment."""
