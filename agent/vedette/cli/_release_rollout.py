"""`vedette release rollout`: other terms for a release that is there; its bytes stay."""

from __future__ import annotations

import argparse

from vedette.cli._release_terms import newest, told, with_rollout
from vedette.cli._repo_output import open_repository
from vedette.cli._target_staging import restage
from vedette.errors import RequestError


def run(args: argparse.Namespace) -> int:
    """Stage the release with its new terms."""
    repository = open_repository(args)
    with repository.locked():
        before = newest(args, repository)
        release = with_rollout(args, before)
        if release == before:
            raise RequestError("expected a flag that changes who may have it; see --help")
        signers = restage(repository, release)
        share = f"{release.rollout.fraction / 100:g} % of the fleet"
        return told(args, release, signers, f"{share} from now on; next: vedette repo publish")
