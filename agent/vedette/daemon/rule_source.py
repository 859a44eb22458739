"""Where the running rules come from: the offered file if it may be taken, else the last good one.

Rule 1: an offered bundle that is refused changes nothing; the reason becomes a finding.
Rule 2: a stale bundle runs on and is a finding: a date is never a reason to run without rules.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from vedette.codec import bundle as bundle_codec
from vedette.codec.dsse import MAX_ENVELOPE_BYTES
from vedette.daemon.build import BUILD_S
from vedette.errors import StoreError, TrustError
from vedette.model.rule import Bundle
from vedette.ports.state import State
from vedette.store.shelf import FileShelf
from vedette.trust.bundle_gate import Accepted, BundleGate
from vedette.trust.document import TrustAnchor
from vedette.trust.ed25519 import Ed25519Verifier


class Chosen(NamedTuple):
    """The rules to run.

    Attributes:
        bundle: None when there are none that may be used.
        refused: why the offered file was not taken, or "".
        problems: what else went wrong, one line each.
    """

    bundle: Bundle | None
    is_new: bool
    is_stale: bool
    refused: str
    problems: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Of the bundle, "" for none."""
        return self.bundle.digest if self.bundle else ""


class RuleSource:
    """Verifies, keeps and loads bundles.

    Args:
        trust_file: the trust document that the package or `vedette enroll` put in place.
        bundle_file: where a new bundle is offered.

    Raises:
        TrustError: the trust document cannot be used.
        StoreError: the state cannot be read.
    """

    def __init__(
        self, *, trust_file: Path, bundle_file: Path, state: State, state_dir: Path
    ) -> None:
        verifier = Ed25519Verifier()
        anchor = TrustAnchor(
            _read(trust_file, "trust document"),
            state=state,
            shelf=FileShelf(state_dir / "trust", max_bytes=MAX_ENVELOPE_BYTES),
            verifier=verifier,
        )
        self._bundle_file = bundle_file
        self._problems = tuple(anchor.problems)
        self._gate = BundleGate(
            document=anchor.document,
            verifier=verifier,
            state=state,
            shelf=FileShelf(state_dir / "rules", max_bytes=MAX_ENVELOPE_BYTES),
            parse=bundle_codec.decode,
            build_s=BUILD_S,
        )

    def choose(self) -> Chosen:
        """Take the offered bundle into use if it may be; else the last good one."""
        refused = ""
        accepted: Accepted | None = None
        try:
            data = _read(self._bundle_file, "rule bundle")
            accepted = self._gate.accept(data, time.time())
        except (TrustError, StoreError) as error:
            refused = str(error)
        if accepted is None:
            accepted = self._last_good()
        problems = self._problems + (accepted.problems if accepted else ())
        if accepted is None:
            return Chosen(None, is_new=False, is_stale=False, refused=refused, problems=problems)
        return Chosen(accepted.bundle, accepted.is_new, accepted.is_stale, refused, problems)

    def _last_good(self) -> Accepted | None:
        try:
            return self._gate.load(time.time())
        except (TrustError, StoreError) as error:
            self._problems = (*self._problems, str(error))
            return None


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_ENVELOPE_BYTES + 1)
    except OSError as error:
        raise TrustError(
            f"{path}: cannot read the {what} ({error.strerror}); put one there, or name it in the "
            "configuration below [rules]"
        ) from error
    if len(data) > MAX_ENVELOPE_BYTES:
        raise TrustError(f"{path}: expected at most {MAX_ENVELOPE_BYTES} bytes, got more")
    return data
