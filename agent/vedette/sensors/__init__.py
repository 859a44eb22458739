"""Sources of events, one file per tier; the folder is listed, there is no registry."""
