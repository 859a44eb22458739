"""What connection tracking remembers of a peer.

Rule: nothing is asked of a kernel that tracks nothing: the question alone would load its module.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from vedette.codec import conntrack, nfnetlink
from vedette.codec.nfnetlink import NFNL_SUBSYS_CTNETLINK
from vedette.kernel.netlink_talk import NETLINK_NETFILTER, NetlinkTalk

COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")


def forget(peer: bytes) -> str:
    """Have it forget all connections with a peer; why it could not, or "".

    Args:
        peer: raw address, 4 or 16 bytes.
    """
    if not _are_there_any():
        return ""
    try:
        talk = NetlinkTalk(NETLINK_NETFILTER)
        try:
            for request in conntrack.forget_requests(peer):
                talk.order(partial(_message, request))
        finally:
            talk.close()
    except OSError as error:
        return f"tracked connections are kept: {error.strerror}"
    return ""


def _are_there_any() -> bool:
    try:
        return COUNT.read_bytes().strip() != b"0"
    except OSError:
        return False


def _message(request: nfnetlink.Request, sequence: int) -> bytes:
    return nfnetlink.message(NFNL_SUBSYS_CTNETLINK, request, sequence=sequence)
