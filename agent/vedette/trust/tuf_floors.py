"""What a device never goes below: versions of metadata, counters of releases, the time of issue.

Rule 1: all of it lies in one `State`, on the disk twice; what tuf keeps in its own files may vanish
(a power cut, a bad block) without an old mirror being believed again.
Rule 2: the version floor of a role holds for the keys it had when that version was verified. It is
dropped only when a verified root or delegation has replaced so many of them that they could no
longer sign (TUF 5.3.11): whoever drove the version up with stolen keys is out then. What a snapshot
says of a targets role falls with the snapshot's keys too.
Rule 3: the root's floor, the counters of releases and the time of issue never drop.
Rule 4: only signed times raise the time floor; neither the wall clock nor an earlier run does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple
from urllib.parse import quote

from vedette.errors import StoreError
from vedette.ports.state import State
from vedette.trust.time_floor import TIME_FLOOR, trusted_now

ROOT = "tuf.root"
ROLES = "tuf.roles"
VERSION = "tuf.version."
COUNTER = "release."

MAX_ROLES = 128
"""With a few keys each this stays within what a State holds; a device visits about six."""


class Keys(NamedTuple):
    """Who may sign as a role.

    Attributes:
        threshold: how many have to.
        keyids: of whom.
    """

    threshold: int
    keyids: frozenset[str]

    def still_sign(self, now: Keys) -> bool:
        """Whether enough of these keys are among those of now to have signed with them alone."""
        return len(self.keyids & now.keyids) >= self.threshold


class _Floor(NamedTuple):
    version: int
    guards: tuple[Keys, ...]


class Floors:
    """The floors of one repository.

    Args:
        state: keeps them; nobody else writes it.
        build_s: Unix time at which the agent was built, with the root it trusts first.
    """

    def __init__(self, state: State, build_s: int) -> None:
        self._state, self._build_s = state, build_s

    def now(self, wall_s: float) -> float:
        """Unix time that dates are held against: never before the build or a verified issue."""
        return trusted_now(self._state, self._build_s, wall_s)

    @property
    def issued_s(self) -> int:
        """The newest time of issue that was ever verified; 0 for none."""
        return self._state.number(TIME_FLOOR)

    def raise_issued(self, issued_s: int) -> None:
        """A verified time of issue: time does not go back behind it.

        Raises:
            StoreError: the disk did not take it.
        """
        if issued_s > self.issued_s:
            self._state.update({TIME_FLOOR: issued_s})

    @property
    def root(self) -> int:
        """The lowest version of the root that is still accepted; 0 for any."""
        return self._state.number(ROOT)

    def raise_root(self, version: int) -> None:
        """A verified version of the root.

        Raises:
            StoreError: the disk did not take it.
        """
        if version > self.root:
            self._state.update({ROOT: version})

    def version(self, delegator: str, role: str, guards: Sequence[Keys]) -> int:
        """The lowest version of a role that is still accepted.

        Args:
            delegator: the role that names its keys.
            role: whose version.
            guards: verified keys of now: of the role, and of the snapshot where that lists it.

        Returns:
            0 where there is none, or where it has been dropped by Rule 2.
        """
        floor = self._floor(_name(delegator, role))
        if floor is None or not _stands(floor, guards):
            return 0
        return floor.version

    def raise_version(
        self, delegator: str, role: str, guards: Sequence[Keys], version: int
    ) -> None:
        """A verified version of a role, under the keys that it was verified with.

        Raises:
            StoreError: the disk did not take it, or there are more roles than MAX_ROLES.
        """
        name = _name(delegator, role)
        floor = self._floor(name)
        if floor is not None and _stands(floor, guards) and version <= floor.version:
            return  # the keys it was driven up with stay on record
        names = self._state.texts(ROLES)
        if name not in names:
            if len(names) >= MAX_ROLES:
                raise StoreError(
                    f"expected at most {MAX_ROLES} roles of signed metadata, got one more, "
                    f"{role[:64]!a}: have fewer delegations signed"
                )
            names = (*names, name)
        words = tuple(f"{keys.threshold} {' '.join(sorted(keys.keyids))}" for keys in guards)
        self._state.update({ROLES: names, VERSION + name: (str(version), *words)})

    def listed(self, snapshot: Keys) -> frozenset[tuple[str, str]]:
        """The targets roles, as (delegator, role) quoted as in URLs, that a snapshot must name.

        Args:
            snapshot: its verified keys of now.
        """
        found = ((name, self._floor(name)) for name in self._state.texts(ROLES))
        return frozenset(
            (name.partition("/")[0], name.partition("/")[2])
            for name, floor in found
            if floor is not None and len(floor.guards) > 1 and floor.guards[-1].still_sign(snapshot)
        )

    def prune(self, named: Collection[str], snapshot: Keys) -> None:
        """Forget targets roles that the verified snapshot does not name, after `listed` was held.

        Args:
            named: the roles it names, quoted as in URLs.
            snapshot: its verified keys.

        Raises:
            StoreError: the disk did not take it.
        """
        needed = self.listed(snapshot)
        names = self._state.texts(ROLES)
        gone = [name for name in names if self._is_forgotten(name, named, needed)]
        if gone:
            kept = tuple(name for name in names if name not in gone)
            self._state.update({ROLES: kept, **{VERSION + name: () for name in gone}})

    def _is_forgotten(
        self, name: str, named: Collection[str], needed: Collection[tuple[str, str]]
    ) -> bool:
        delegator, _, role = name.partition("/")
        floor = self._floor(name)
        is_listed = floor is not None and len(floor.guards) > 1
        return is_listed and role not in named and (delegator, role) not in needed

    def counter(self, kind: str, name: str) -> int:
        """The lowest counter of a release that is still accepted; 0 for any."""
        return self._state.number(f"{COUNTER}{kind}.{name}")

    def raise_counter(self, kind: str, name: str, counter: int) -> None:
        """Accept no release of this kind and name below a counter from now on, for ever.

        Raises:
            StoreError: the disk did not take it.
        """
        if counter > self.counter(kind, name):
            self._state.update({f"{COUNTER}{kind}.{name}": counter})

    def _floor(self, name: str) -> _Floor | None:
        words = self._state.texts(VERSION + name)
        if not words:
            return None
        return _Floor(int(words[0]), tuple(_keys(word) for word in words[1:]))


def _stands(floor: _Floor, guards: Sequence[Keys]) -> bool:
    return len(floor.guards) == len(guards) and all(
        then.still_sign(now) for then, now in zip(floor.guards, guards, strict=True)
    )


def _keys(word: str) -> Keys:
    threshold, *keyids = word.split(" ")
    return Keys(int(threshold), frozenset(keyids))


def _name(delegator: str, role: str) -> str:
    return f"{quote(delegator, safe='')}/{quote(role, safe='')}"
