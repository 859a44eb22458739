"""What may be accepted as signed content (rules, profiles), and which one a start loads.

Rule 1: a signature of the purpose's keys is checked at every load, before a byte of the payload is
parsed.
Rule 2: the floor is the highest counter ever accepted and never drops; it rises only after the
content itself is safe on the disk.
Rule 3: expiry decides what may be newly accepted, nothing else: what was once accepted loads for
ever and is called stale.
Rule 4: now is the latest of the build time, the newest verified time of issue, and the wall clock;
so a clock in 1970 stops nothing. What a content's key says about time counts at most until the
trust document expires, so that one stolen key cannot push the time to 2099.
Rule 5: content of a kind that is tried is on trial until it is settled. What is on trial, or what a
person names, can be withdrawn: the one in use before it, which is on the shelf, is used again, the
floor stays where it is, and what was withdrawn is never accepted again (ADR 0020).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Generic, NamedTuple, Protocol, TypeVar

from vedette.errors import ParseError, RuleError, StoreError, TrustError
from vedette.model.trust import TrustDocument
from vedette.ports.signer import Verifier
from vedette.ports.state import Shelf, State, StateValue
from vedette.trust import signed
from vedette.trust.time_floor import TIME_FLOOR, trusted_now

MAX_STARTS = 3
"""Ours: starts of the agent with content on trial; one that ends the agent each time goes back."""
MAX_WITHDRAWN = 16
KEPT = 2
"""Files on the shelf: the one in use, and the one before for the day its block goes bad."""


class Numbered(Protocol):
    """What all signed content has (model.rule.Bundle, model.profile.Profile)."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def counter(self) -> int:
        """Grows with each release."""

    @property
    def issued_s(self) -> int:
        """Unix time of signing."""

    @property
    def expires_s(self) -> int:
        """Unix time after which it may not be newly accepted."""

    @property
    def digest(self) -> str:
        """SHA-256 of the payload in hex."""


Content = TypeVar("Content", bound=Numbered)


class Accepted(NamedTuple, Generic[Content]):
    """Content that may be used.

    Attributes:
        is_new: it was not in use before.
        is_stale: its date has passed; it is used all the same.
        problems: what went wrong on the way, one line each.
    """

    content: Content
    is_new: bool
    is_stale: bool
    problems: tuple[str, ...] = ()


class ContentKind(NamedTuple):
    """One kind of signed content.

    Attributes:
        purpose: the role of the trust document whose keys count.
        noun: of one file, such as "bundle": in messages, and its suffix on the shelf.
        payload_type: of its DSSE envelope.
        is_tried: new content has to be settled, and can be withdrawn before.
    """

    purpose: str
    noun: str
    payload_type: str
    is_tried: bool = False

    @property
    def words(self) -> str:
        """One of them, for messages."""
        return self.noun if self.purpose == f"{self.noun}s" else f"{self.purpose} {self.noun}"


def verified(
    kind: ContentKind,
    data: bytes,
    document: TrustDocument,
    verifier: Verifier,
    parse: Callable[[bytes], Content],
) -> Content:
    """The content of a file that the document's keys for its purpose signed, whatever its date.

    Args:
        kind: what it is to be.
        data: the whole file.
        document: names the keys.
        verifier: the Ed25519 implementation.
        parse: as `ContentGate` has it.

    Raises:
        TrustError: it is not signed for that purpose, or cannot be read; the message says which.
    """
    what = kind.words
    envelope = signed.open_envelope(data, kind.payload_type, what)
    role = document.purposes.get(kind.purpose)
    if role is None:
        raise TrustError(
            f"{what}: the trust document (version {document.version}) names no key for "
            f"{kind.purpose}: rotate it to one that does"
        )
    signed.require(envelope, role, verifier, what, document)
    try:
        return parse(envelope.payload)
    except (ParseError, RuleError) as error:
        raise TrustError(
            f"{what}: rightly signed, but this agent cannot read it: {error}"
        ) from error


class WithdrawnError(TrustError):
    """Content that this device gave back: it is signed, and did badly here."""


class ContentGate(Generic[Content]):
    """Decides about the content of one kind.

    Args:
        kind: what it is and whose keys count.
        document: names those keys.
        verifier: the Ed25519 implementation.
        state: floors and accepted digests.
        shelf: keeps what was accepted; nothing else lies there.
        parse: payload to content; raises ParseError or RuleError for what it cannot read, and
            TrustError for what this device may not use.
        build_s: Unix time at which this agent was built.
    """

    def __init__(
        self,
        kind: ContentKind,
        *,
        document: TrustDocument,
        verifier: Verifier,
        state: State,
        shelf: Shelf,
        parse: Callable[[bytes], Content],
        build_s: int,
    ) -> None:
        self._kind, self._document, self._verifier = kind, document, verifier
        self._state, self._shelf = state, shelf
        self._parse, self._build_s = parse, build_s
        self._floor, self._accepted = f"{kind.purpose}.floor", f"{kind.purpose}.accepted"
        self._trial, self._starts = f"{kind.purpose}.trial", f"{kind.purpose}.trial_starts"
        self._withdrawn = f"{kind.purpose}.withdrawn"
        self._withdrawn_at = f"{kind.purpose}.withdrawn_at"

    def now(self, wall_s: float) -> float:
        """The time that dates are held against: never before the build or a verified issue."""
        return trusted_now(self._state, self._build_s, wall_s)

    def accept(self, data: bytes, wall_s: float) -> Accepted[Content]:
        """Take content into use, durably.

        Args:
            data: the whole file.
            wall_s: Unix time as this device believes it.

        Raises:
            TrustError: it may not be used; the message names the reason. The last good one stays.
            StoreError: the disk did not take it; nothing has changed.
        """
        content = self._verify(data)
        if content.digest in self._state.texts(self._withdrawn):
            raise WithdrawnError(
                f"{self._what(content)} was given back on this device: publish another one with a "
                "higher counter"
            )
        accepted = self._state.texts(self._accepted)
        is_known = content.digest in accepted
        self._check_counter(content, is_known=is_known)
        is_stale = content.expires_s <= self.now(wall_s)
        if is_stale and not is_known:
            raise TrustError(
                f"{self._what(content)} expired at {content.expires_s}, it is "
                f"{self.now(wall_s):.0f} now: have a newer one signed, or set the clock if it is "
                "wrong"
            )
        if is_known and accepted[0] == content.digest and self._is_on_shelf(content, data):
            return Accepted(content, is_new=False, is_stale=is_stale)
        self._shelf.save(self._shelf_name(content.digest), data)
        self._record(content, accepted)
        return Accepted(content, not is_known, is_stale, self._tidy())

    @property
    def trial(self) -> str:
        """Digest of the content in use while it is on trial, else ""."""
        return self._state.text(self._trial)

    def start(self) -> str:
        """Count a start of the agent with content on trial; to be called once, before `load`.

        Returns:
            Why it has to be withdrawn, or "".

        Raises:
            StoreError: the disk did not take the count.
        """
        if not self.trial:
            return ""
        starts = self._state.number(self._starts) + 1
        self._state.update({self._starts: starts})
        if starts <= MAX_STARTS:
            return ""
        return f"the agent was started {starts} times before it had proved itself"

    def settle(self, digest: str) -> None:
        """Content has proved itself: it is on trial no more. Anything else changes nothing.

        Raises:
            StoreError: the disk did not take it; it is still on trial.
        """
        if digest and digest == self.trial:
            self._state.update({self._trial: "", self._starts: 0})

    def withdraw(self, digest: str) -> None:
        """Give the content in use back; the next `load` gives the one that was used before it.

        Neither the floor nor anything else is lowered: of all that is older than the floor, this
        one alone is used, and it was accepted here when it was new.

        Raises:
            TrustError: it is not in use, or nothing was before it; nothing has changed.
            StoreError: the disk did not take it; nothing has changed.
        """
        accepted = self._state.texts(self._accepted)
        if digest not in accepted[:1]:
            raise TrustError(f"expected the {self._kind.words} in use, got {digest[:16] or 'none'}")
        before = accepted[1] if len(accepted) > 1 else ""
        if not before or not self._is_good(before):
            raise TrustError(f"no {self._kind.words} is kept from before the one in use")
        withdrawn = (digest, *self._state.texts(self._withdrawn))[:MAX_WITHDRAWN]
        self._state.update(
            {
                self._accepted: accepted[1:],
                self._withdrawn: withdrawn,
                self._withdrawn_at: self._state.number(self._floor),
                self._trial: "",
                self._starts: 0,
            }
        )

    def load(self, wall_s: float) -> Accepted[Content] | None:
        """The last good one, or None where none was ever accepted.

        Whatever lies on the shelf was fit to be accepted, so neither its date nor a lost state
        keeps it from being loaded; signature and purpose are checked as ever. If the newest is
        damaged the one before is used, and `problems` says so.

        Raises:
            TrustError: some are there and none can be used; the message names each reason.
            StoreError: the shelf cannot be read.
        """
        problems: list[str] = []
        expected = [self._shelf_name(digest) for digest in self._state.texts(self._accepted)]
        others = set(self._shelf.names()) - set(expected)
        for names in [*([name] for name in expected), others]:
            content = self._newest(names, problems)
            if content is not None:
                return self._loaded(content, wall_s, problems)
        if problems:
            raise TrustError(f"no kept {self._kind.noun} can be used: {'; '.join(problems)}")
        return None

    def _newest(self, names: Collection[str], problems: list[str]) -> Content | None:
        found: list[Content] = []
        for name in sorted(names):
            try:
                data = self._shelf.load(name)
                if data is None:
                    problems.append(f"{name}: expected an accepted {self._kind.noun}, found none")
                else:
                    found.append(self._verify(data))
            except (TrustError, StoreError) as error:
                problems.append(f"{name}: {error}")
        return max(found, key=lambda content: content.counter, default=None)

    def _loaded(self, content: Content, wall_s: float, problems: list[str]) -> Accepted[Content]:
        floor = self._state.number(self._floor)
        is_given_back = floor == self._state.number(self._withdrawn_at)
        if content.counter < floor and not is_given_back:
            problems.append(
                f"{self._what(content)} is used although {floor} had been accepted: the newer one "
                "is lost or damaged; install it again"
            )
        is_stale = content.expires_s <= self.now(wall_s)
        return Accepted(content, is_new=False, is_stale=is_stale, problems=tuple(problems))

    def _verify(self, data: bytes) -> Content:
        return verified(self._kind, data, self._document, self._verifier, self._parse)

    def _check_counter(self, content: Content, *, is_known: bool) -> None:
        floor = self._state.number(self._floor)
        if content.counter < floor:
            raise TrustError(
                f"{self._what(content)} is older than what this device had: expected counter "
                f"{floor} or later; publish it again with a higher counter"
            )
        if content.counter == floor and floor and not is_known:
            raise TrustError(
                f"{self._what(content)} differs from the one accepted under the same counter: "
                f"expected counter {floor + 1} or later for new content"
            )

    def _record(self, content: Content, accepted: tuple[str, ...]) -> None:
        """One update: floor, digest and time rise together."""
        others = tuple(digest for digest in accepted if digest != content.digest)
        issued_s = min(content.issued_s, self._document.expires_s)
        is_tried = self._kind.is_tried and bool(others) and content.digest not in accepted
        trial: dict[str, StateValue] = {}
        if is_tried:
            trial = {self._trial: content.digest, self._starts: 0}
        self._state.update(
            {
                **trial,
                self._floor: max(content.counter, self._state.number(self._floor)),
                self._accepted: (content.digest, *others)[:KEPT],
                TIME_FLOOR: max(issued_s, self._build_s, self._state.number(TIME_FLOOR)),
            }
        )

    def _is_good(self, digest: str) -> bool:
        """Whether kept content can be used: its signature is checked again."""
        try:
            data = self._shelf.load(self._shelf_name(digest))
            return data is not None and self._verify(data).digest == digest
        except (TrustError, StoreError):
            return False

    def _is_on_shelf(self, content: Content, data: bytes) -> bool:
        try:
            return self._shelf.load(self._shelf_name(content.digest)) == data
        except StoreError:
            return False

    def _tidy(self) -> tuple[str, ...]:
        """Forget all but the newest KEPT files; a failure costs space and nothing else."""
        kept = {self._shelf_name(digest) for digest in self._state.texts(self._accepted)}
        problems: list[str] = []
        for name in set(self._shelf.names()) - kept:
            try:
                self._shelf.remove(name)
            except StoreError as error:
                problems.append(str(error))
        return tuple(problems)

    def _what(self, content: Content) -> str:
        return f"{self._kind.words} {content.name[:64]!a} with counter {content.counter}"

    def _shelf_name(self, digest: str) -> str:
        return f"{digest}.{self._kind.noun}"
