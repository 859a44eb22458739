"""Puts the sentinel's parts together from a configuration: who gets what, and no more."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import vedette.sensors
from vedette.codec import bundle as bundle_codec
from vedette.codec.dsse import MAX_ENVELOPE_BYTES
from vedette.daemon import privileges
from vedette.daemon.build import BUILD_S
from vedette.daemon.config import Config
from vedette.daemon.content_source import ContentSource, read_trust
from vedette.daemon.ladder import Ladder, name_of
from vedette.model.rule import Bundle
from vedette.ports.baseline import Baseline
from vedette.ports.discover import sensor_classes
from vedette.ports.sensor import Emit, Sensor, SensorContext
from vedette.ports.state import State
from vedette.store.shelf import FileShelf
from vedette.trust.content_gate import ContentGate, ContentKind
from vedette.trust.ed25519 import Ed25519Verifier
from vedette.uplink.link import LinkUplink

RULES = ContentKind("rules", "bundle", bundle_codec.PAYLOAD_TYPE)

ALWAYS = frozenset({"dac_read_search", "kill", "sys_ptrace"})
"""Reading what is to be hashed, ending our own children of other users, looking into /proc."""


def restore_kernel(run_dir: Path) -> list[str]:
    """Undo what a killed sentinel left in the kernel; one line for each thing undone."""
    return [line for kind in sensor_classes(vedette.sensors) for line in kind.restore(run_dir)]


def rule_source(config: Config, state: State) -> ContentSource[Bundle]:
    """The rules that the configuration names, and the trust they stand on.

    Raises:
        TrustError: the trust document cannot be used.
        StoreError: the state cannot be read.
    """
    state_dir = Path(config.paths.state)
    anchor = read_trust(Path(config.rules.trust), state, state_dir)
    gate = ContentGate(
        RULES,
        document=anchor.document,
        verifier=Ed25519Verifier(),
        state=state,
        shelf=FileShelf(state_dir / "rules", max_bytes=MAX_ENVELOPE_BYTES),
        parse=bundle_codec.decode,
        build_s=BUILD_S,
    )
    offered = Path(config.rules.bundle)
    return ContentSource(gate, offered, "rule bundle", problems=tuple(anchor.problems))


def ladder(
    config: Config, emit: Emit, baseline: Baseline, on_opened: Callable[[Sensor], None]
) -> Ladder:
    """The sources that the configuration allows."""

    def context(name: str) -> SensorContext:
        return SensorContext(
            emit=emit,
            run_dir=Path(config.paths.run),
            state_dir=Path(config.paths.state),
            watch=config.files.watch,
            options=config.sensors.options.get(name, {}),
            baseline=baseline,
        )

    return Ladder(_allowed(config), context, on_opened)


def link_uplink(config: Config) -> LinkUplink:
    """The sentinel's end of the uplink; only the uplink's user may connect."""
    own_uid = os.geteuid()
    is_other = config.uplink.enabled and own_uid == 0
    peer_uid = privileges.account(config.uplink.user)[0] if is_other else own_uid
    if peer_uid != own_uid:
        Path(config.paths.run).chmod(0o711)  # that user must pass through, and cannot list
    return LinkUplink(
        config.uplink_socket,
        tenant=config.device.tenant,
        device=config.device.id,
        peer_uid=peer_uid,
    )


def drop_privileges(config: Config) -> None:
    """Keep only the capabilities that the allowed sources need; no dumps, for the key's sake."""
    privileges.forbid_dumps()
    if os.geteuid() == 0:
        needed = {name for kind in _allowed(config) for name in kind.capabilities}
        privileges.drop_to(ALWAYS | needed)


def _allowed(config: Config) -> Sequence[type[Sensor]]:
    disabled = frozenset(config.sensors.disable)
    return [kind for kind in sensor_classes(vedette.sensors) if name_of(kind) not in disabled]
