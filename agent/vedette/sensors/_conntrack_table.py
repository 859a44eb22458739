"""The nftables table that makes conntrack see: it tracks nothing until a rule asks for it.

Rule 1: the table is named `vedette` and holds one rule, which accepts and changes nothing;
doctor names it.
Rule 2: a single ct expression anywhere makes the kernel track connections in this namespace.
"""

from __future__ import annotations

from pathlib import Path

from vedette.codec import nf_expressions as nft
from vedette.codec import nf_tables
from vedette.errors import SensorError
from vedette.kernel import own_table
from vedette.kernel.own_table import OwnTable

NAME = "vedette"

_STATE_NEW = 8  # NF_CT_STATE_BIT(IP_CT_NEW), linux/netfilter/nf_conntrack_common.h
_SEE_NEW = (
    nft.connection_state()
    + nft.mask(nft.host_u32(_STATE_NEW))
    + nft.compare(nft.host_u32(0), nft.NOT_EQUAL)
)
"""`ct state new`, as nft compiles it; without a counter, so that it stays as it was made."""

TABLE = nf_tables.Table(NAME, (nf_tables.Chain("conntrack", nf_tables.LOCAL_OUT, 0, (_SEE_NEW,)),))


class ConntrackTable:
    """Makes the table and removes it.

    Args:
        run_dir: where the note of it goes (kernel/own_table.py).
    """

    def __init__(self, run_dir: Path) -> None:
        self._table = OwnTable(TABLE, run_dir)

    @property
    def stands(self) -> bool:
        """Whether it was made and not removed."""
        return self._table.stands

    def is_intact(self) -> bool:
        """Whether it stands as it was made."""
        return self._table.is_intact()

    def make(self) -> None:
        """Make the table, or replace one that a killed instance left.

        Raises:
            SensorError: the kernel has no nf_tables, does not allow it, or another owns the name.
        """
        try:
            self._table.make()
        except OSError as error:
            why = own_table.reason(NAME, error, "CONFIG_NFT_CT")
            raise SensorError(f"conntrack: {why}") from error

    def remove(self) -> None:
        """Remove the table if it stands; one that is gone already is no error."""
        self._table.remove()

    def close(self) -> None:
        """Remove the table and give up the socket. Safe to call twice."""
        self._table.close()


def restore(run_dir: Path) -> list[str]:
    """Remove the table of an instance that was killed; says so if there was one to remove."""
    try:
        was_there = own_table.restore(NAME, run_dir)
    except OSError as error:
        return [f"conntrack: nft table inet {NAME} could not be removed: {error}"]
    return [f"conntrack: removed nft table inet {NAME}"] if was_there else []
