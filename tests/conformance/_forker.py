"""Reads command lines, runs each in a fork of this process, answers with its exit code."""

from __future__ import annotations

import json
import os
import sys

from tests.conformance import client

# What client.py leaves to the moment it is used; no thread is started by importing it.
import vedette.daemon.installer.opening
import vedette.daemon.installer.staging
import vedette.daemon.updater.__main__
import vedette.daemon.updater.http_source  # noqa: F401


def run(errors: str, words: list[str]) -> int:
    child = os.fork()
    if child == 0:
        descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 2)
        os._exit(client.main(words))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(f"{run(*json.loads(line))}\n")
        sys.stdout.flush()
