"""Keeps tuf's own HTTP client out of the installer, which has no network to use it with.

Rule: called before tuf is first imported, by a process that ends with its task; never by a test in
its own process: `sys.modules` is changed for good.

tuf.ngclient.updater imports it as the default of an argument that we always give: urllib3, http and
ssl are 5 MB and 40 % of the time that starting takes.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Final, NoReturn

UNUSED: Final = "tuf.ngclient.urllib3_fetcher"


class Urllib3Fetcher:
    """Stands where tuf's client would."""

    def __init__(self, *_: object, **__: object) -> None:
        _refuse()


def leave_out_http() -> None:
    """Let tuf find this module's stand-in where it looks for its client."""
    if UNUSED not in sys.modules:
        stand_in = ModuleType(UNUSED, __doc__)
        vars(stand_in)["Urllib3Fetcher"] = Urllib3Fetcher
        sys.modules[UNUSED] = stand_in


def _refuse() -> NoReturn:
    raise RuntimeError("expected a source of ours: the installer has no network")
