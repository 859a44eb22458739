"""Bodies of birth, state and will: what a fleet knows of a device that finds nothing.

Rule 1: made by the sentinel alone and signed; never by the uplink, whose health proves nothing.
Rule 2: `counter` and `newest_sequence` only grow within a boot: a replayed state shows as one that
does not. A will and whatever is retained are hints.
"""

from __future__ import annotations

from collections.abc import Sequence

from vedette import __version__
from vedette.codec import ocsf
from vedette.codec.note import Checkpoint
from vedette.daemon.checkpoints import origin_of
from vedette.model.message import Identity
from vedette.model.tier import TierReport
from vedette.ports.journal import JournalStatus
from vedette.ports.signer import Signer
from vedette.trust.checkpoint import sign_checkpoint

PERIOD_S = 900.0
"""A fleet of 10,000 makes 11 messages a second of it."""

WILL = ocsf.canonical({"status": "lost"})


def birth(identity: Identity, public_key: bytes, rules: str) -> bytes:
    """What is published at each connect; the key is for people to compare, never to be trusted."""
    return ocsf.canonical(
        {
            "version": __version__,
            "boot": identity.boot,
            "key": public_key.hex(),
            "rules": rules,
        }
    )


def checkpoint(identity: Identity, journal: JournalStatus, baseline: str, signer: Signer) -> str:
    """The signed note over the journal's tree and the baseline (c2sp.org/tlog-checkpoint).

    The origin names device and epoch; the extension line names the baseline's digest.
    """
    origin = origin_of(identity, journal.epoch)
    extensions = (f"baseline {baseline}",) if baseline else ()
    claim = Checkpoint(origin, journal.size, journal.root, extensions)
    return sign_checkpoint(claim, identity.device, signer).decode()


def state(
    identity: Identity,
    *,
    counter: int,
    uptime_s: float,
    newest_sequence: int,
    reports: Sequence[TierReport],
    rules: str,
    profile: str,
    incidents_open: int,
    degraded: str,
    checkpoint: str,
) -> bytes:
    """A heartbeat.

    Args:
        counter: of heartbeats since the sentinel began, from 1.
        uptime_s: of the device, so that it grows over restarts of the sentinel too.
        newest_sequence: of the outbox.
        rules: digest of the bundle in use, "" for none.
        profile: digest of the profile in force, "" for none.
        degraded: why the journal is kept in memory only, "" when it is not.
        checkpoint: the signed note over the journal.
    """
    return ocsf.canonical(
        {
            "status": "watching",
            "counter": counter,
            "boot": identity.boot,
            "uptime_s": round(uptime_s),
            "period_s": round(PERIOD_S),
            "newest_sequence": newest_sequence,
            "tiers": {r.event_class: r.tier.name if r.tier else "" for r in reports},
            "rules": rules,
            "profile": profile,
            "incidents_open": incidents_open,
            "degraded": degraded,
            "checkpoint": checkpoint,
        }
    )
