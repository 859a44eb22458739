"""Boot loaders and where a firmware lives, one file per back-end; there is no registry."""
