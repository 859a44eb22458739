"""Puts the sentinel's parts together from a configuration: who gets what, and no more."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import vedette.responses
import vedette.sensors
from vedette.codec import bundle as bundle_codec
from vedette.codec import kept_response
from vedette.codec import playbook as playbook_codec
from vedette.codec import profile as profile_codec
from vedette.codec.dsse import MAX_ENVELOPE_BYTES
from vedette.daemon import privileges
from vedette.daemon.build import BUILD_S
from vedette.daemon.config import Config
from vedette.daemon.content_source import ContentSource, Trusted, read_trust
from vedette.daemon.essential_options import open_flows
from vedette.daemon.ladder import Ladder, name_of
from vedette.daemon.models.in_use import DeviceModels
from vedette.daemon.responder_calls import Responders
from vedette.daemon.response_options import Options
from vedette.errors import DeviceError, TrustError
from vedette.model.playbook import Playbooks
from vedette.model.profile import Profile
from vedette.model.rule import Bundle
from vedette.model.trust import TrustDocument
from vedette.ports.baseline import Baseline
from vedette.ports.discover import responder_classes, sensor_classes
from vedette.ports.good_copies import GoodCopies
from vedette.ports.responder import Responder, ResponderContext, UplinkPeer
from vedette.ports.sensor import Emit, Sensor, SensorContext
from vedette.ports.state import State
from vedette.store.responses import ResponseStore
from vedette.store.shelf import FileShelf
from vedette.trust.content_gate import Content, ContentGate, ContentKind
from vedette.trust.ed25519 import Ed25519Verifier
from vedette.trust.operator_gate import OperatorGate, Station
from vedette.uplink.link import LinkUplink

if TYPE_CHECKING:
    from vedette.daemon.exec_holder import ExecHolder
    from vedette.daemon.shell import Shell

RULES = ContentKind("rules", "bundle", bundle_codec.PAYLOAD_TYPE, is_tried=True)
PROFILES = ContentKind("profiles", "profile", profile_codec.PAYLOAD_TYPE)
PLAYBOOKS = ContentKind("playbooks", "set", playbook_codec.PAYLOAD_TYPE)

ALWAYS = frozenset({"dac_read_search", "kill", "sys_ptrace"})
"""Reading what is to be hashed, ending our own children of other users, looking into /proc."""


FOR_HOLDER = frozenset({"ipc_lock", "lease", "sys_admin"})
"""What the holder and its guardian are started with (daemon/holder/__main__.py)."""


def restore_kernel(run_dir: Path) -> list[str]:
    """Undo what a killed sentinel left in the kernel; one line for each thing undone."""
    return [line for kind in sensor_classes(vedette.sensors) for line in kind.restore(run_dir)]


class Sources(NamedTuple):
    """Where signed content comes from (None where none is wanted), and whom the device trusts."""

    document: TrustDocument
    rules: ContentSource[Bundle]
    profiles: ContentSource[Profile] | None
    playbooks: ContentSource[Playbooks] | None


def sources(config: Config, state: State, parse_rules: Callable[[bytes], Bundle]) -> Sources:
    """The signed content that the configuration names, and the trust it stands on.

    Args:
        parse_rules: reads the payload of a bundle, as codec.bundle does.

    Raises:
        TrustError: the trust document cannot be used.
        StoreError: the state cannot be read.
    """
    anchor = read_trust(Path(config.rules.trust), state, Path(config.paths.state))
    rules = ContentSource(
        _gate(RULES, parse_rules, config, anchor, state),
        Path(config.rules.bundle),
        "rule bundle",
        refusal=anchor.refusal,
        problems=anchor.problems,
    )
    profiles = playbooks = None
    if config.rules.profile:
        parse = partial(_profile_for, config.device.class_)
        gate = _gate(PROFILES, parse, config, anchor, state)
        file = Path(config.rules.profile)
        profiles = ContentSource(gate, file, "profile", is_optional=True)
    if config.response.playbooks:
        sets = _gate(PLAYBOOKS, playbook_codec.decode, config, anchor, state)
        file = Path(config.response.playbooks)
        playbooks = ContentSource(sets, file, "set of playbooks", is_optional=True)
    return Sources(anchor.document, rules, profiles, playbooks)


def operator_gate(
    config: Config, state: State, document: Callable[[], TrustDocument]
) -> OperatorGate:
    """Decides about operators' commands, by the trust document of the moment."""
    device = config.device
    return OperatorGate(
        Station(device.tenant, device.id, device.groups),
        document=document,
        verifier=Ed25519Verifier(),
        state=state,
        build_s=BUILD_S,
    )


def _gate(
    kind: ContentKind,
    parse: Callable[[bytes], Content],
    config: Config,
    anchor: Trusted,
    state: State,
) -> ContentGate[Content]:
    return ContentGate(
        kind,
        document=anchor.document,
        verifier=Ed25519Verifier(),
        state=state,
        shelf=FileShelf(Path(config.paths.state) / kind.purpose, max_bytes=MAX_ENVELOPE_BYTES),
        parse=parse,
        build_s=BUILD_S,
    )


def _profile_for(device_class: str, payload: bytes) -> Profile:
    profile = profile_codec.decode(payload)
    if profile.device_class != device_class:
        raise TrustError(
            f"profile {profile.name[:64]!a} is for devices of class {profile.device_class!a}, this "
            f"one is of class {device_class!a}: sign one for it, or mend [device] class"
        )
    return profile


def responders(
    config: Config, baseline: Baseline | None = None, good_copies: GoodCopies | None = None
) -> Responders:
    """The responders that the configuration allows, each with folders and options of its own.

    Args:
        baseline, good_copies: what they restore files from; not needed to leave the kernel.
    """
    uplink_peer = _uplink_peer(config)
    ours: Mapping[str, Options] = {
        "deny_exec": {"socket": str(config.deny_socket)},
        "isolate": {"allow": _allowed_flows(config)},
    }
    usable: dict[str, Responder] = {}
    disabled: dict[str, str] = {}
    for name, kind in responder_classes(vedette.responses).items():
        if name in config.response.disable:
            disabled[name] = "[response] disable names it"
            continue
        context = ResponderContext(
            state_dir=Path(config.paths.state) / "responders" / name,
            run_dir=Path(config.paths.run) / "responders" / name,
            untouchable_pids=frozenset({1, os.getpid()}),
            untouchable_paths=(config.paths.state, config.paths.run),
            options={**config.response.options.get(name, {}), **ours.get(name, {})},
            uplink_peer=uplink_peer,
            baseline=baseline,
            good_copies=good_copies,
            models=DeviceModels(config.models),
        )
        usable[name] = kind(context)
    return Responders(usable, disabled)


def _allowed_flows(config: Config) -> str:
    """What isolation leaves open: as [response.isolate] says, and for the essential functions."""
    named = str(config.response.options.get("isolate", {}).get("allow", ""))
    flows = (*filter(None, named.split(",")), *open_flows(config.essential.functions))
    return ",".join(dict.fromkeys(flows))


def _uplink_peer(config: Config) -> UplinkPeer | None:
    uplink = config.uplink
    if not uplink.enabled:
        return None
    uid = privileges.account(uplink.user)[0] if os.geteuid() == 0 else os.geteuid()
    return UplinkPeer(uplink.host, uplink.port, uid)


def recover(responders: Responders) -> list[str]:
    """Have responders finish what a killed sentinel left half done; one line for each thing."""
    return [line for one in responders.usable.values() for line in one.recover()]


def leave_kernel(config: Config) -> list[str]:
    """Have every response on record leave the kernel, when the sentinel did not live to do it.

    Returns:
        Why some could not, one line each.
    """
    found = response_store(config).load()
    problems = list(found.problems)
    usable = responders(config).usable if found.kept else {}
    for order, record in ((kept.order, kept.record) for kept in found.kept):
        responder = usable.get(order.responder)
        if responder is None:
            continue
        try:
            responder.leave(order, record)
        except (DeviceError, OSError) as error:
            problems.append(f"{order.responder} {order.response_id}: {error}")
    return problems


def response_store(config: Config) -> ResponseStore:
    """Where undo records are kept."""
    lasting, passing = (
        Path(folder) / "responses" for folder in (config.paths.state, config.paths.run)
    )
    most = kept_response.MAX_BYTES
    return ResponseStore(FileShelf(lasting, max_bytes=most), FileShelf(passing, max_bytes=most))


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
        groups=config.device.groups,
    )


def drop_privileges(config: Config) -> None:
    """Keep what the allowed sources and responders need; no dumps, for the key's sake."""
    privileges.forbid_dumps()
    if os.geteuid() == 0:
        privileges.drop_to(capabilities(config))


def capabilities(config: Config) -> frozenset[str]:
    """What the sentinel needs for the sources and responders that the configuration allows."""
    needed = {name for kind in _allowed(config) for name in kind.capabilities}
    for kind in allowed_responders(config).values():
        needed |= kind.capabilities
    needed |= FOR_HOLDER if config.deny.enabled else set()
    probed = (*config.essential.functions, *config.firmware.health)
    if any(function.command for function in probed):
        needed |= {"setuid", "setgid"}  # each runs as a user of its own
    return ALWAYS | needed


def capabilities_at_start(config: Config) -> frozenset[str]:
    """What the sentinel needs once, before it gives up all but `capabilities`."""
    needed = {"sys_nice"} if config.response.nice else set()
    needed |= {"chown"} if config.uplink.enabled else set()  # the uplink's socket is its user's
    return frozenset(needed)


def allowed_responders(config: Config) -> dict[str, type[Responder]]:
    """The responders that the configuration allows, by name."""
    return {
        name: kind
        for name, kind in responder_classes(vedette.responses).items()
        if name not in config.response.disable
    }


def exec_holder(
    config: Config, shell: Shell, baseline: Baseline, profile: Callable[[], Profile | None]
) -> ExecHolder | None:
    """Who keeps the holder of executions, where the configuration wants one.

    Args:
        profile: gives the signed one in force.
    """
    if not config.deny.enabled:
        return None
    from vedette.daemon import deny_lists  # noqa: PLC0415 (opt-in: not in everybody's memory)
    from vedette.daemon.exec_holder import ExecHolder  # noqa: PLC0415

    return ExecHolder(
        config.deny_socket,
        lambda: deny_lists.build(config.deny, profile(), baseline),
        lambda report: shell.report(*report),
    )


def _allowed(config: Config) -> Sequence[type[Sensor]]:
    disabled = frozenset(config.sensors.disable)
    return [kind for kind in sensor_classes(vedette.sensors) if name_of(kind) not in disabled]
