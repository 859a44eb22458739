"""Our nftables table: conntrack sees nothing until a rule asks for it.

Rule 1: the table is named `vedette` and holds one counting rule; doctor names it.
Rule 2: where the kernel can (Linux 5.12), the table belongs to our socket and ends with it, also
at SIGKILL; elsewhere a note in the run folder, written first, lets `restore` remove it.
Rule 3: a table of our name that another process owns is left alone.
"""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from vedette.codec import nf_tables
from vedette.errors import SensorError
from vedette.sensors._netlink_talk import NETLINK_NETFILTER, NetlinkTalk

NOTE = "conntrack.table"


class ConntrackTable:
    """Makes the table and removes it.

    Args:
        run_dir: where the note goes.
    """

    def __init__(self, run_dir: Path) -> None:
        self._note = run_dir / NOTE
        self._talk = NetlinkTalk(NETLINK_NETFILTER)
        self.is_owned = False
        self.stands = False

    def make(self) -> None:
        """Make the table, or replace one that a killed instance left.

        Raises:
            SensorError: the kernel has no nf_tables, does not allow it, or another owns the name.
        """
        self._note.write_text("inet vedette\n", encoding="ascii")
        try:
            self._make()
        except OSError as error:
            self._note.unlink(missing_ok=True)
            raise SensorError(_reason(error)) from error
        self.stands = True

    def remove(self) -> None:
        """Remove the table if it stands; one that is gone already is no error."""
        if not self.stands:
            return
        self.stands = False
        _delete(self._talk)
        self._note.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the table and give up the socket. Safe to call twice."""
        # Where removing fails, closing the socket does it, or the note tells `restore` to.
        with contextlib.suppress(OSError):
            self.remove()
        self._talk.close()

    def _make(self) -> None:
        for is_owned in (True, False):
            try:
                self._create(is_owned=is_owned)
            except OSError as error:
                # An older kernel knows no owner flag.
                if is_owned and error.errno in {errno.EINVAL, errno.EOPNOTSUPP}:
                    continue
                raise
            self.is_owned = is_owned
            return

    def _create(self, *, is_owned: bool) -> None:
        def request(sequence: int) -> tuple[bytes, int]:
            return nf_tables.table_request(is_owned=is_owned, sequence=sequence)

        try:
            self._talk.batch(request)
        except FileExistsError:
            _delete(self._talk)
            self._talk.batch(request)


def restore(run_dir: Path) -> list[str]:
    """Remove the table of an instance that was killed; says so if there was one to remove."""
    note = run_dir / NOTE
    if not note.exists():
        return []
    try:
        talk = NetlinkTalk(NETLINK_NETFILTER)
        try:
            was_there = _delete(talk)
        finally:
            talk.close()
    except OSError as error:
        return [f"conntrack: nft table inet {nf_tables.TABLE} could not be removed: {error}"]
    note.unlink(missing_ok=True)
    return [f"conntrack: removed nft table inet {nf_tables.TABLE}"] if was_there else []


def _delete(talk: NetlinkTalk) -> bool:
    try:
        talk.batch(lambda n: nf_tables.delete_request(sequence=n))
    except FileNotFoundError:
        return False
    return True


def _reason(error: OSError) -> str:
    if error.errno == errno.EPERM:
        return (
            f"conntrack: the kernel refuses nft table inet {nf_tables.TABLE}: run with "
            "CAP_NET_ADMIN, and end any other process that owns the table"
        )
    return (
        f"conntrack: nft table inet {nf_tables.TABLE} cannot be made: {error.strerror}; "
        "it needs a kernel with CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET and CONFIG_NFT_CT"
    )
