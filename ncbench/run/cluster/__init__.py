"""Jobs on many processes and machines, by Dask distributed. The rest of ncbench works without it."""
