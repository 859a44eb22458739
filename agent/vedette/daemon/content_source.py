"""Where signed content comes from: the offered file if it may be taken, else the last good one.

Rule 1: an offered file that is refused changes nothing; the reason becomes a finding.
Rule 2: stale content is used on and is a finding: a date is never a reason to run without rules.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Generic, NamedTuple

from vedette.codec.dsse import MAX_ENVELOPE_BYTES
from vedette.errors import StoreError, TrustError
from vedette.model.trust import TrustDocument
from vedette.ports.state import State
from vedette.store.shelf import FileShelf
from vedette.trust.content_gate import Accepted, Content, ContentGate, WithdrawnError
from vedette.trust.document import NOBODY, VERSION, TrustAnchor
from vedette.trust.ed25519 import Ed25519Verifier


class Chosen(NamedTuple, Generic[Content]):
    """What to use.

    Attributes:
        content: None when there is none that may be used.
        refused: why the offered file was not taken, or "".
        problems: what else went wrong, one line each.
        withdrawn: why the offered file is not used although it once was, or "".
    """

    content: Content | None
    is_new: bool
    is_stale: bool
    refused: str
    problems: tuple[str, ...]
    withdrawn: str = ""

    @property
    def digest(self) -> str:
        """Of the content, "" for none."""
        return self.content.digest if self.content else ""


def nothing_chosen() -> Chosen[Content]:
    """Before anything was looked for, or where nothing is wanted."""
    return Chosen(None, is_new=False, is_stale=False, refused="", problems=())


class ContentSource(Generic[Content]):
    """Verifies, keeps and loads the content of one kind.

    Args:
        gate: decides.
        file: where a new one is offered.
        what: names it in messages, such as "rule bundle".
        is_optional: nothing being offered is no refusal.
        refusal: why nothing that is offered may be taken, or "".
        problems: what was wrong with the trust that the gate stands on, one line each.
    """

    def __init__(
        self,
        gate: ContentGate[Content],
        file: Path,
        what: str,
        *,
        is_optional: bool = False,
        refusal: str = "",
        problems: tuple[str, ...] = (),
    ) -> None:
        self._gate, self._file, self._what = gate, file, what
        self._is_optional = is_optional
        self._refusal, self._problems = refusal, problems

    def choose(self) -> Chosen[Content]:
        """Take what is offered into use if it may be; else the last good one."""
        refused, withdrawn = self._refusal, ""
        accepted: Accepted[Content] | None = None
        try:
            if not refused and (not self._is_optional or self._file.exists()):
                accepted = self._gate.accept(_read(self._file, self._what), time.time())
        except WithdrawnError as error:
            withdrawn = str(error)
        except (TrustError, StoreError) as error:
            refused = str(error)
        problems = self._problems
        if accepted is None:
            try:
                accepted = self._gate.load(time.time())
            except (TrustError, StoreError) as error:
                problems = (*problems, str(error))
        if accepted is None:
            return Chosen(
                None, is_new=False, is_stale=False, refused=refused or withdrawn, problems=problems
            )
        problems += accepted.problems
        return Chosen(
            accepted.content, accepted.is_new, accepted.is_stale, refused, problems, withdrawn
        )

    @property
    def gate(self) -> ContentGate[Content]:
        """Decides; also what is on trial and what is withdrawn."""
        return self._gate


class Trusted(NamedTuple):
    """Whom the device trusts.

    Attributes:
        refusal: why nothing may be taken from anybody, or "".
        problems: what was wrong and how it was mended, one line each.
    """

    document: TrustDocument
    refusal: str
    problems: tuple[str, ...]


def read_trust(file: Path, state: State, state_dir: Path) -> Trusted:
    """The trust document in force; NOBODY on a device that never had one.

    Args:
        file: what `vedette enroll` put in place.
        state: keeps its version.
        state_dir: keeps a document that followed it.

    Raises:
        TrustError: it cannot be used, or is gone from a device that had one.
        StoreError: the state cannot be read.
    """
    if not state.number(VERSION) and not file.exists():
        words = f"{file}: this device has no root of trust yet; bring one with vedette enroll"
        return Trusted(NOBODY, words, ())
    anchor = TrustAnchor(
        _read(file, "trust document"),
        state=state,
        shelf=FileShelf(state_dir / "trust", max_bytes=MAX_ENVELOPE_BYTES),
        verifier=Ed25519Verifier(),
    )
    return Trusted(anchor.document, "", tuple(anchor.problems))


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
