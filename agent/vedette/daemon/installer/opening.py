"""The installer's trusted state, opened from its folders."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vedette.ports.release_source import ReleaseSource
from vedette.store import durable
from vedette.store.state import FileState
from vedette.trust.tuf_client import ReleaseTrust
from vedette.trust.tuf_floors import Floors
from vedette.trust.tuf_updater import HISTORY

METADATA = "metadata"
FLOORS = "floors"


class Opened(NamedTuple):
    """What the installer stands on.

    Attributes:
        trust: the verified metadata.
        floors: of it, and of releases.
        problems: what was wrong with the floors' copies and was mended, one line each.
    """

    trust: ReleaseTrust
    floors: Floors
    problems: tuple[str, ...]


def open_trust(
    metadata: Path,
    floors: Path,
    *,
    root: bytes,
    source: ReleaseSource,
    build_s: int,
    wall_s: float,
) -> Opened:
    """Open, or begin, what one repository is trusted with.

    Args:
        metadata: folder of verified metadata.
        floors: folder of the floors; nothing else lies there.
        root: the embedded root.
        source: what is asked for metadata.
        build_s: Unix time at which the agent and its root were built.
        wall_s: Unix time as this device believes it.

    Raises:
        StoreError: a folder cannot be made, or both copies of the floors are damaged: then nothing
            may be accepted, since anything might be old.
    """
    durable.make_folder(metadata)
    durable.make_folder(metadata / HISTORY)
    state = FileState(floors)
    kept = Floors(state, build_s)
    trust = ReleaseTrust(
        metadata, root=root, floors=kept, source=source, save=durable.write, wall_s=wall_s
    )
    return Opened(trust, kept, tuple(state.problems))
