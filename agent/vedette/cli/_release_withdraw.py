"""`vedette release withdraw`: no device is offered a release any more.

Devices that have it keep it: for another way back, make a release with what was before and a higher
counter.
"""

from __future__ import annotations

import argparse

from vedette.cli._release_terms import newest, told
from vedette.cli._repo_output import open_repository
from vedette.cli._target_staging import withdraw


def run(args: argparse.Namespace) -> int:
    """Stage the targets without the release."""
    repository = open_repository(args)
    with repository.locked():
        release = newest(args, repository)
        signers = withdraw(repository, release)
        return told(args, release, signers, "withdrawn; next: vedette repo publish")
