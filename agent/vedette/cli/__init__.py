"""The `vedette` command: one file per subcommand, listed from the folder."""
