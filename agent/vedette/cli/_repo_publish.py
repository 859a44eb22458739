"""`vedette repo publish`: what is staged becomes public."""

from __future__ import annotations

import argparse

from vedette.cli._publication import publish
from vedette.cli._repo_init import keep_root
from vedette.cli._repo_output import open_repository, tell


def run(args: argparse.Namespace) -> int:
    """Publish everything that is staged."""
    repository = open_repository(args)
    with repository.locked():
        files = publish(repository)
        keep_root(repository)
    lines = [f"{repository.metadata_folder.parent}: published {', '.join(files)}"]
    return tell(args, lines, files=files)
