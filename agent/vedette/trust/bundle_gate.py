"""What may be accepted as a bundle of rules, and which one a start loads.

Rule 1: a signature of the purpose's keys is checked at every load, before a byte of the payload is
parsed.
Rule 2: the floor is the highest counter ever accepted and never drops; it rises only after the
bundle itself is safe on the disk.
Rule 3: expiry decides what may be newly accepted, nothing else: a bundle once accepted loads for
ever and is called stale.
Rule 4: now is the latest of the build time, the newest verified time of issue, and the wall clock;
so a clock in 1970 stops nothing. What a rules key says about time counts at most until the trust
document expires, so that one stolen key cannot push the time to 2099.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from vedette.codec.bundle import PAYLOAD_TYPE
from vedette.errors import ParseError, RuleError, StoreError, TrustError
from vedette.model.rule import Bundle
from vedette.model.trust import TrustDocument
from vedette.ports.signer import Verifier
from vedette.ports.state import Shelf, State
from vedette.trust import signed

TIME_FLOOR = "time.floor"
KEPT = 2
"""Bundles on the shelf: the one in use, and the one before for the day its block goes bad."""

Parse = Callable[[bytes], Bundle]


class Accepted(NamedTuple):
    """A bundle that may be used.

    Attributes:
        is_new: it was not in use before.
        is_stale: its date has passed; it is used all the same.
        problems: what went wrong on the way, one line each.
    """

    bundle: Bundle
    is_new: bool
    is_stale: bool
    problems: tuple[str, ...] = ()


class BundleGate:
    """Decides about the bundles of one purpose.

    Args:
        document: whose keys count.
        verifier: the Ed25519 implementation.
        state: floors and accepted digests.
        shelf: keeps accepted bundles; nothing else lies there.
        parse: payload to Bundle; raises ParseError or RuleError.
        build_s: Unix time at which this agent was built.
        purpose: the role of the trust document.
    """

    def __init__(
        self,
        *,
        document: TrustDocument,
        verifier: Verifier,
        state: State,
        shelf: Shelf,
        parse: Parse,
        build_s: int,
        purpose: str = "rules",
    ) -> None:
        self._document, self._verifier = document, verifier
        self._state, self._shelf = state, shelf
        self._parse, self._build_s, self._purpose = parse, build_s, purpose
        self._floor, self._accepted = f"{purpose}.floor", f"{purpose}.accepted"

    def now(self, wall_s: float) -> float:
        """The time that dates are held against: never before the build or a verified issue."""
        return max(float(self._build_s), float(self._state.number(TIME_FLOOR)), wall_s)

    def accept(self, data: bytes, wall_s: float) -> Accepted:
        """Take a bundle into use, durably.

        Args:
            data: the whole file.
            wall_s: Unix time as this device believes it.

        Raises:
            TrustError: it may not be used; the message names the reason. The last good one stays.
            StoreError: the disk did not take it; nothing has changed.
        """
        bundle = self._verify(data)
        accepted = self._state.texts(self._accepted)
        is_known = bundle.digest in accepted
        self._check_counter(bundle, is_known=is_known)
        is_stale = bundle.expires_s <= self.now(wall_s)
        if is_stale and not is_known:
            raise TrustError(
                f"{self._what(bundle)} expired at {bundle.expires_s}, it is "
                f"{self.now(wall_s):.0f} now: have a newer one signed, or set the clock if it is "
                "wrong"
            )
        if is_known and accepted[0] == bundle.digest and self._is_on_shelf(bundle, data):
            return Accepted(bundle, is_new=False, is_stale=is_stale)
        self._shelf.save(_shelf_name(bundle.digest), data)
        self._record(bundle, accepted)
        return Accepted(bundle, not is_known, is_stale, self._tidy())

    def load(self, wall_s: float) -> Accepted | None:
        """The last good bundle, or None where none was ever accepted.

        Whatever lies on the shelf was fit to be accepted, so neither its date nor a lost state
        keeps it from being loaded; signature and purpose are checked as ever. If the newest is
        damaged the one before is used, and `problems` says so.

        Raises:
            TrustError: bundles are there and none can be used; the message names each reason.
            StoreError: the shelf cannot be read.
        """
        problems: list[str] = []
        expected = [_shelf_name(digest) for digest in self._state.texts(self._accepted)]
        others = set(self._shelf.names()) - set(expected)
        for names in [*([name] for name in expected), others]:
            bundle = self._newest(names, problems)
            if bundle is not None:
                return self._loaded(bundle, wall_s, problems)
        if problems:
            raise TrustError(f"no kept bundle can be used: {'; '.join(problems)}")
        return None

    def _newest(self, names: Collection[str], problems: list[str]) -> Bundle | None:
        found: list[Bundle] = []
        for name in sorted(names):
            try:
                data = self._shelf.load(name)
                if data is None:
                    problems.append(f"{name}: expected an accepted bundle, found none")
                else:
                    found.append(self._verify(data))
            except (TrustError, StoreError) as error:
                problems.append(f"{name}: {error}")
        return max(found, key=lambda bundle: bundle.counter, default=None)

    def _loaded(self, bundle: Bundle, wall_s: float, problems: list[str]) -> Accepted:
        floor = self._state.number(self._floor)
        if bundle.counter < floor:
            problems.append(
                f"{self._what(bundle)} is used although {floor} had been accepted: the newer one "
                "is lost or damaged; install it again"
            )
        is_stale = bundle.expires_s <= self.now(wall_s)
        return Accepted(bundle, is_new=False, is_stale=is_stale, problems=tuple(problems))

    def _verify(self, data: bytes) -> Bundle:
        what = f"{self._purpose} bundle"
        envelope = signed.open_envelope(data, PAYLOAD_TYPE, what)
        role = self._document.purposes.get(self._purpose)
        if role is None:
            raise TrustError(
                f"{what}: the trust document (version {self._document.version}) names no key for "
                f"{self._purpose}: rotate it to one that does"
            )
        signed.require(envelope, role, self._verifier, what, self._document)
        try:
            return self._parse(envelope.payload)
        except (ParseError, RuleError) as error:
            raise TrustError(
                f"{what}: rightly signed, but this agent cannot read it: {error}"
            ) from error

    def _check_counter(self, bundle: Bundle, *, is_known: bool) -> None:
        floor = self._state.number(self._floor)
        if bundle.counter < floor:
            raise TrustError(
                f"{self._what(bundle)} is older than what this device had: expected counter "
                f"{floor} or later; publish it again with a higher counter"
            )
        if bundle.counter == floor and floor and not is_known:
            raise TrustError(
                f"{self._what(bundle)} differs from the one accepted under the same counter: "
                f"expected counter {floor + 1} or later for new content"
            )

    def _record(self, bundle: Bundle, accepted: tuple[str, ...]) -> None:
        """One update: floor, digest and time rise together."""
        others = tuple(digest for digest in accepted if digest != bundle.digest)
        issued_s = min(bundle.issued_s, self._document.expires_s)
        self._state.update(
            {
                self._floor: max(bundle.counter, self._state.number(self._floor)),
                self._accepted: (bundle.digest, *others)[:KEPT],
                TIME_FLOOR: max(issued_s, self._build_s, self._state.number(TIME_FLOOR)),
            }
        )

    def _is_on_shelf(self, bundle: Bundle, data: bytes) -> bool:
        try:
            return self._shelf.load(_shelf_name(bundle.digest)) == data
        except StoreError:
            return False

    def _tidy(self) -> tuple[str, ...]:
        """Forget all but the newest KEPT bundles; a failure costs space and nothing else."""
        kept = {_shelf_name(digest) for digest in self._state.texts(self._accepted)}
        problems: list[str] = []
        for name in set(self._shelf.names()) - kept:
            try:
                self._shelf.remove(name)
            except StoreError as error:
                problems.append(str(error))
        return tuple(problems)

    def _what(self, bundle: Bundle) -> str:
        return f"{self._purpose} bundle {bundle.name[:64]!a} with counter {bundle.counter}"


def _shelf_name(digest: str) -> str:
    return f"{digest}.bundle"
