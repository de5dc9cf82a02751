"""Named systems, data sets and files of structures."""
