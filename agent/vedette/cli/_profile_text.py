"""Profiles and learning runs as a person reads them; pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vedette.codec.strict_json import Json
from vedette.codec.text import escape, human_age
from vedette.model.profile import ANY_PORT, Learnt, Listener, Peer, Profile

Table = dict[str, Json]
KINDS = ("programs", "pairs", "listeners", "peers")
TITLES = {
    "programs": "programs", "pairs": "starts", "listeners": "open ports", "peers": "peers",
}  # fmt: skip
ANYONE = "(any program)"


def run_lines(run: Table) -> list[str]:
    """How far a learning run is, and what could not be learnt."""
    state = str(run.get("state"))
    if state == "none":
        return ["nothing was learnt here yet; begin with: vedette learn start"]
    done, wanted = _age(run, "elapsed_s"), _age(run, "wanted_s")
    firmware = f" on {run.get('firmware')}" if run.get("firmware") else ""
    words = {"learning": "learning", "done": "has learnt", "stopped": "was stopped"}
    lines = [f"{words.get(state, state)}{firmware}: {done} of {wanted}"]
    lines.append(", ".join(f"{run.get(kind)} {TITLES[kind]}" for kind in KINDS))
    if not run.get("starts"):
        lines.append("no start of the device was learnt yet: start it anew once")
    if run.get("losses"):
        lines.append(f"events were lost on {run.get('losses')} occasions: see vedette status")
    left_out = run.get("left_out")
    for kind, count in (left_out if isinstance(left_out, dict) else {}).items():
        lines.append(f"left out: {count} {kind}, which had no room or no readable name")
    if state != "learning" and not run.get("written"):
        lines.append("it was not written yet: vedette learn write FILE")
    return [escape(line) for line in lines]


def is_over(run: Table) -> bool:
    """Whether the time of a run is over."""
    elapsed, wanted = run.get("elapsed_s"), run.get("wanted_s")
    return isinstance(elapsed, int) and isinstance(wanted, int) and elapsed >= wanted


def counts(profile: Profile) -> list[str]:
    """What a profile is, without its entries."""
    origin, learnt = profile.origin, profile.learnt
    lines = []
    if profile.counter:
        lines.append(f"{profile.name}, counter {profile.counter}, signed at {profile.issued_s}")
    scope = f"class {profile.device_class or '(none)'}, firmware {profile.firmware or '(none)'}"
    age = human_age(origin.learnt_s)
    starts = f"with {origin.starts} start(s) of the device"
    lines.append(f"for {scope}")
    lines.append(f"learnt on {origin.device} for {age}, {starts}; trusted on first use")
    lines.append(", ".join(f"{len(getattr(learnt, kind))} {TITLES[kind]}" for kind in KINDS))
    return [escape(line) for line in [*lines, *warnings(profile)]]


def warnings(profile: Profile) -> list[str]:
    """What a person should know before signing."""
    origin, learnt = profile.origin, profile.learnt
    lines = [
        f"warning: {count} {kind} were left out, which had no room or no readable name"
        for kind, count in learnt.left_out._asdict().items()
        if count
    ]
    if origin.losses:
        lines.append(f"warning: events were lost on {origin.losses} occasions while it learnt")
    if not origin.starts:
        lines.append("warning: no start of the device was learnt; its next one will be findings")
    return lines


def lines(profile: Profile) -> list[str]:
    """A profile whole, for reading."""
    found = counts(profile)
    for kind in KINDS:
        found += [
            "",
            TITLES[kind],
            *(f"  {escape(line)}" for line in entries(profile.learnt, kind)),
        ]
    return found


def entries(learnt: Learnt, kind: str) -> list[str]:
    """One line for each entry of a kind, the same for the same entry."""
    return list(_entries(learnt, kind))


def difference(old: Profile, new: Profile) -> list[str]:
    """What a newer profile allows (+) and what it allows no more (-), by kind."""
    found: list[str] = []
    for name in ("device_class", "firmware"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            found.append(f"~ {name.removeprefix('device_')}: {before} -> {after}")
    for kind in KINDS:
        before, after = entries(old.learnt, kind), entries(new.learnt, kind)
        found += [f"- {TITLES[kind]}: {line}" for line in _without(before, after)]
        found += [f"+ {TITLES[kind]}: {line}" for line in _without(after, before)]
    return [escape(line) for line in found]


def drift_lines(things: Json) -> list[str]:
    """What left the profile, most frequent first."""
    rows = [row for row in things if isinstance(row, dict)] if isinstance(things, list) else []
    rows.sort(key=lambda row: (-_count(row), str(row.get("kind")), str(row.get("key"))))
    return [escape(f"{_count(row):>7}  {row.get('kind')}: {_thing(row)}") for row in rows]


def _entries(learnt: Learnt, kind: str) -> Iterator[str]:
    match kind:
        case "programs":
            for program in learnt.programs:
                yield " ".join([program.path, *(digest[:16] for digest in program.digests)])
        case "pairs":
            yield from (f"{pair.parent} -> {pair.child}" for pair in learnt.pairs)
        case "listeners":
            yield from map(_listener, learnt.listeners)
        case _:
            yield from map(_peer, learnt.peers)


def _listener(listener: Listener) -> str:
    port = "ephemeral" if listener.port == ANY_PORT else str(listener.port)
    return f"{listener.program or ANYONE} {listener.protocol} {port}"


def _peer(peer: Peer) -> str:
    port = "any port" if peer.port == ANY_PORT else f"port {peer.port}"
    return f"{peer.program or ANYONE} -> {peer.peer} {peer.protocol} {port}"


def _without(some: Iterable[str], others: Iterable[str]) -> list[str]:
    known = set(others)
    return [line for line in some if line not in known]


def _thing(row: Table) -> str:
    key = row.get("key")
    words = [str(word) for word in key] if isinstance(key, list) else []
    return " ".join(word or ANYONE for word in words)


def _count(row: Table) -> int:
    count = row.get("count")
    return count if isinstance(count, int) else 0


def _age(table: Table, name: str) -> str:
    value = table.get(name)
    return human_age(value) if isinstance(value, int | float) else "?"
