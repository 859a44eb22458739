"""An nftables table of ours: made whole, looked after, and never left behind.

Rule 1: where the kernel can (Linux 5.12), the table belongs to our socket and ends with it, also
at SIGKILL; elsewhere a note in the run folder, written first, lets `restore` remove it.
Rule 2: a table of our name that another process owns is left alone (EPERM).
Rule 3: a table that a killed instance left is replaced, not taken over.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from vedette.codec import netlink, nf_tables, nfnetlink
from vedette.codec.nf_tables import Element, Table
from vedette.codec.nfnetlink import NFNL_SUBSYS_NFTABLES, Batch, Request
from vedette.errors import ParseError
from vedette.kernel.netlink_talk import NETLINK_NETFILTER, NetlinkTalk

_LACKS = frozenset(
    {
        errno.EAFNOSUPPORT,
        errno.EINVAL,
        errno.ENOENT,
        errno.EOPNOTSUPP,
        errno.EPROTONOSUPPORT,
    }
)
"""What a kernel says that was built without a part."""
_LOOKS = 3
"""A dump that another's change interrupted is asked for again so often."""


class OwnTable:
    """Makes a table and removes it.

    Args:
        table: what it has; its name is ours alone.
        run_dir: where the note goes.

    Attributes:
        is_owned: it ends with this process.
        stands: we made it and did not remove it.

    Raises:
        OSError: the kernel has no nfnetlink.
    """

    def __init__(self, table: Table, run_dir: Path) -> None:
        self._table = table
        self._note = _note(table.name, run_dir)
        self._talk = NetlinkTalk(NETLINK_NETFILTER)
        self._made: tuple[bytes, ...] = ()
        self.is_owned = False
        self.stands = False

    def check(self) -> None:
        """Have the kernel look at the table without making it.

        Raises:
            OSError: it would refuse.
        """
        requests = nf_tables.create(self._table, is_owned=False)
        try:
            self._talk.batch(lambda n: _batch(requests, n, is_trial=True))
        except FileExistsError:
            return  # it was taken once, by us or by an instance that was killed

    def make(self, elements: Iterable[Element] = ()) -> None:
        """Make the table with these elements, or replace one that a killed instance left.

        Raises:
            OSError: the kernel lacks what it needs, does not allow it, or another owns the name.
        """
        self._note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._note.write_text(f"inet {self._table.name}\n", encoding="ascii")
        try:
            self._make(nf_tables.add(self._table.name, elements))
        except OSError:
            if not self.stands:
                self._note.unlink(missing_ok=True)
            raise
        self.stands = True
        self._made = self._shown()

    def change(self, *requests: Request) -> None:
        """Change its elements, all or none.

        Raises:
            OSError: the kernel refuses.
        """
        self._talk.batch(lambda n: _batch(requests, n))

    def is_intact(self) -> bool:
        """Whether table, chains and rules are as we made them."""
        return self.stands and self._shown() == self._made

    def has(self, element: Element) -> bool:
        """Whether a set has this key."""
        question = nf_tables.element_question(self._table.name, element)
        return self._talk.one(partial(_message, question)) is not None

    def remove(self) -> None:
        """Remove the table if it stands; one that is gone already is no error."""
        if not self.stands:
            return
        self.stands = False
        delete(self._talk, self._table.name)
        self._note.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the table and give up the socket. Safe to call twice."""
        # Where removing fails, closing the socket does it, or the note tells `restore` to.
        with contextlib.suppress(OSError):
            self.remove()
        self.abandon()

    def abandon(self) -> None:
        """Give up the socket, as the end of this process would: an owned table ends with it."""
        self._talk.close()

    def _make(self, elements: tuple[Request, ...]) -> None:
        for is_owned in (True, False):
            try:
                self._create(elements, is_owned=is_owned)
            except OSError as error:
                # An older kernel knows no owner flag.
                if is_owned and error.errno in {errno.EINVAL, errno.EOPNOTSUPP}:
                    continue
                raise
            self.is_owned = is_owned
            return

    def _create(self, elements: tuple[Request, ...], *, is_owned: bool) -> None:
        requests = (*nf_tables.create(self._table, is_owned=is_owned), *elements)
        try:
            self._talk.batch(lambda n: _batch(requests, n))
        except FileExistsError:
            replaced = (*nf_tables.delete(self._table.name), *requests)
            self._talk.batch(lambda n: _batch(replaced, n))

    def _shown(self) -> tuple[bytes, ...]:
        for _ in range(_LOOKS):
            shown, is_whole = self._look()
            if is_whole:
                return shown
        return ()

    def _look(self) -> tuple[tuple[bytes, ...], bool]:
        """What the kernel shows of it, and whether nothing changed meanwhile."""
        shown: list[bytes] = []
        is_whole = True
        for question in nf_tables.questions(self._table.name):
            try:
                for message in self._talk.dump(partial(_message, question)):
                    is_whole &= not message.flags & netlink.NLM_F_DUMP_INTR
                    if nf_tables.belongs(message.payload, self._table.name):
                        # The header before the attributes has the number of the last change.
                        shown.append(message.payload[nfnetlink.HEADER_BYTES :])
            except (FileNotFoundError, ParseError):
                return (), True
        return tuple(shown), is_whole


def restore(name: str, run_dir: Path) -> bool:
    """Remove the table of an instance that was killed; whether there was one to remove.

    Raises:
        OSError: it stands and cannot be removed.
    """
    note = _note(name, run_dir)
    if not note.exists():
        return False
    talk = NetlinkTalk(NETLINK_NETFILTER)
    try:
        was_there = delete(talk, name)
    finally:
        talk.close()
    note.unlink(missing_ok=True)
    return was_there


def delete(talk: NetlinkTalk, name: str) -> bool:
    """Remove a table by its name; False where there is none.

    Raises:
        OSError: the kernel refuses, such as EPERM for a table that another process owns.
    """
    try:
        talk.batch(lambda n: _batch(nf_tables.delete(name), n))
    except FileNotFoundError:
        return False
    return True


def reason(name: str, error: OSError, needs: str) -> str:
    """Why the kernel refused a table, and what would lift that.

    Args:
        needs: kernel options beside CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET, or "".
    """
    if error.errno == errno.EPERM:
        return (
            f"the kernel refuses nft table inet {name}: run with CAP_NET_ADMIN, and end any other "
            "process that owns the table"
        )
    if error.errno not in _LACKS:
        return f"the kernel refuses nft table inet {name}: {error.strerror}"
    options = ", ".join(filter(None, ("CONFIG_NF_TABLES", "CONFIG_NF_TABLES_INET", needs)))
    return (
        f"nft table inet {name} cannot be made: {error.strerror}; it needs a kernel with {options}"
    )


def _note(name: str, run_dir: Path) -> Path:
    return run_dir / f"{name}.table"


def _batch(requests: Iterable[Request], sequence: int, *, is_trial: bool = False) -> Batch:
    return nfnetlink.batch(
        NFNL_SUBSYS_NFTABLES, tuple(requests), sequence=sequence, is_trial=is_trial
    )


def _message(request: Request, sequence: int) -> bytes:
    return nfnetlink.message(NFNL_SUBSYS_NFTABLES, request, sequence=sequence)
