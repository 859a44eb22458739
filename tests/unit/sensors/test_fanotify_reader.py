"""From fanotify events to file changes, without a kernel: order, edges and merged masks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.fanotify import (
    ATTRIB,
    CLOSE_WRITE,
    CREATE,
    DELETE,
    MOVED_FROM,
    MOVED_TO,
    ONDIR,
    Q_OVERFLOW,
    RENAME,
    FanotifyEvent,
)
from vedette.model.event import Event, EventsLost, FileChanged
from vedette.sensors._fanotify_reader import Reader
from vedette.sensors._trees import Trees

ROOT = "/nonexistent-vedette"
PATHS = {b"root": "/", b"top": ROOT, b"t": f"{ROOT}/t", b"ta": f"{ROOT}/t/a", b"o": f"{ROOT}/o"}


def reader() -> Reader:
    return Reader(PATHS.get, Trees((f"{ROOT}/t",)).place)


def event(mask: int, directory: bytes, name: bytes, **more: bytes) -> FanotifyEvent:
    plain = FanotifyEvent(mask, 7, directory, name, b"", b"", b"")
    return plain._replace(
        target=more.get("target", b""),
        old_directory=more.get("old_directory", b""),
        old_name=more.get("old_name", b""),
    )


def read(*events: FanotifyEvent) -> list[Event]:
    batch: list[Event] = []
    made = reader()
    for one in events:
        made.take(one, 1.0, batch)
    made.end_batch(2.0, batch)
    return batch


def told(batch: list[Event]) -> list[tuple[str, str, str]]:
    return [(e.action, e.path, e.old_path) for e in batch if isinstance(e, FileChanged)]


T = f"{ROOT}/t"

STORIES: dict[str, tuple[list[FanotifyEvent], list[tuple[str, str, str]]]] = {
    "a merged mask is several events in the order a file lives": (
        [event(DELETE | CLOSE_WRITE | CREATE, b"t", b"f")],
        [("created", f"{T}/f", ""), ("modified", f"{T}/f", ""), ("deleted", f"{T}/f", "")],
    ),
    "attributes of a file that is gone are no news": ([event(ATTRIB, b"t", b"f")], []),
    "outside the trees nothing matters": ([event(CREATE, b"o", b"f")], []),
    "above a tree only its own name matters": (
        [event(CREATE, b"top", b"x"), event(DELETE | ONDIR, b"top", b"t")],
        [("deleted", T, "")],
    ),
    "a rename within": (
        [event(RENAME, b"t", b"g", old_directory=b"ta", old_name=b"f")],
        [("renamed", f"{T}/g", f"{T}/a/f")],
    ),
    "a rename out of the trees": (
        [event(RENAME, b"o", b"g", old_directory=b"t", old_name=b"f")],
        [("renamed", f"{ROOT}/o/g", f"{T}/f")],
    ),
    "a rename into the trees": (
        [event(RENAME, b"t", b"g", old_directory=b"o", old_name=b"f")],
        [("renamed", f"{T}/g", f"{ROOT}/o/f")],
    ),
    "a rename elsewhere": (
        [event(RENAME, b"o", b"g", old_directory=b"o", old_name=b"f")],
        [],
    ),
    "a folder made and removed before it was read": (
        [
            event(CREATE | DELETE | ONDIR, b"t", b"d", target=b"new"),
            event(CREATE | DELETE, b"new", b"f"),
        ],
        [
            ("created", f"{T}/d", ""),
            ("deleted", f"{T}/d", ""),
            ("created", f"{T}/d/f", ""),
            ("deleted", f"{T}/d/f", ""),
        ],
    ),
    "a new folder under its first and its second name": (
        [
            event(CREATE | ONDIR, b"t", b"d", target=b"new"),
            event(CREATE, b"new", b"one"),
            event(RENAME | ONDIR, b"t", b"e", old_directory=b"t", old_name=b"d", target=b"new"),
            event(CREATE, b"new", b"two"),
        ],
        [
            ("created", f"{T}/d", ""),
            ("created", f"{T}/d/one", ""),
            ("renamed", f"{T}/e", f"{T}/d"),
            ("created", f"{T}/e/two", ""),
        ],
    ),
    "two halves of a rename": (
        [event(MOVED_FROM, b"t", b"f"), event(MOVED_TO, b"t", b"g")],
        [("renamed", f"{T}/g", f"{T}/f")],
    ),
    "a half that leaves": ([event(MOVED_FROM, b"t", b"f")], [("deleted", f"{T}/f", "")]),
    "a half that comes": ([event(MOVED_TO, b"t", b"g")], [("renamed", f"{T}/g", "")]),
}


@pytest.mark.parametrize(("events", "expected"), STORIES.values(), ids=STORIES.keys())
def test_story(events: list[FanotifyEvent], expected: list[tuple[str, str, str]]) -> None:
    assert told(read(*events)) == expected


def test_a_directory_nobody_can_name_is_a_loss_with_its_number() -> None:
    batch = read(event(CREATE, b"?", b"f"), event(DELETE, b"?", b"f"))
    assert [(e.lost, e.is_exact, e.stage) for e in batch if isinstance(e, EventsLost)] == [
        (2, True, "sensor")
    ]


def test_an_overflow_is_a_loss_of_unknown_size() -> None:
    batch = read(FanotifyEvent(Q_OVERFLOW, 0, b"", b"", b"", b"", b""))
    assert [(e.lost, e.is_exact, e.stage) for e in batch if isinstance(e, EventsLost)] == [
        (0, False, "kernel")
    ]


_KEYS = st.sampled_from([b"", b"?", *PATHS])
_NAMES = st.sampled_from([b"", b".", b"t", b"a", b"\xff", b"nonexistent-vedette"])
_MASKS = st.integers(0, 15).map(
    lambda n: sum(bit for i, bit in enumerate((CREATE, DELETE, ATTRIB, CLOSE_WRITE)) if n & 1 << i)
)
_EVENTS = st.builds(
    FanotifyEvent,
    st.tuples(_MASKS, st.sampled_from([0, RENAME, MOVED_FROM, MOVED_TO, Q_OVERFLOW]),
              st.sampled_from([0, ONDIR])).map(sum),
    st.integers(0, 3), _KEYS, _NAMES, _KEYS, _KEYS, _NAMES,
)  # fmt: skip


@given(st.lists(_EVENTS, max_size=12))
def test_any_order_of_events_gives_only_what_matters(events: list[FanotifyEvent]) -> None:
    for one in read(*events):
        if isinstance(one, FileChanged):
            assert any(
                path == ROOT or path.startswith(T) for path in (one.path, one.old_path) if path
            )
