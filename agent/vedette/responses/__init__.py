"""Actions against a cause, one file per responder; the folder is listed, there is no registry."""
