"""What belongs to an incident, and what goes first when there is no room."""

from __future__ import annotations

from typing import Any

from vedette.codec import strict_json
from vedette.codec.strict_json import Json
from vedette.core import evidence
from vedette.core.evidence import MAX_PATHS, MAX_PROCESSES, Subjects
from vedette.core.process_table import ProcessTable
from vedette.model.event import ProcessForked, ProcessStarted
from vedette.model.finding import Severity
from vedette.model.journal import Entry, EntryDraft
from vedette.model.process import ProcessKey

INCIDENT = "0123456789abcdef"


def entry(index: int, kind: str = "incident", incident_id: str = INCIDENT, **body: Any) -> Entry:
    draft = EntryDraft(
        kind, Severity.HIGH, 1000.0 + index, strict_json.canonical(body), "", incident_id, False
    )
    return Entry(draft, 1, index, 0, "b" * 32)


def newest_first(*entries: Entry) -> list[Entry]:
    return sorted(entries, key=lambda one: -one.index)


def report(*chain: tuple[int, int, str], path: str = "") -> Any:
    nearest: Any = {}
    for pid, ticks, image in reversed(chain):
        process: Any = {"uid": f"{pid}/{ticks}", "file": {"path": image}}
        if nearest:
            process["parent_process"] = nearest
        nearest = process
    found: Any = {"process": nearest}
    if path:
        found["file"] = {"path": path}
    return {"evidences": [found]}


def table(*children: int) -> ProcessTable:
    found = ProcessTable()
    found.start(
        ProcessStarted(1.0, "ebpf", 40, 1, 7, "/bin/sh", "sh", "sh", True, 0, 0, "/", "", 0, 0)
    )
    for number, pid in enumerate(children):
        found.fork(ProcessForked(1.0, "ebpf", pid, 40, 8 + number))
    return found


def test_the_chain_the_file_and_the_descendants_belong_to_it() -> None:
    documents = [report((40, 7, "/bin/sh"), (1, 1, "/sbin/init"), path="/tmp/x")]
    found = evidence.subjects(documents, table(41, 42))
    assert found == Subjects(
        (ProcessKey(40, 7), ProcessKey(1, 1), ProcessKey(41, 8), ProcessKey(42, 9)),
        ("/tmp/x", "/bin/sh"),
    )


def test_descendants_of_a_pid_that_was_used_again_do_not() -> None:
    found = evidence.subjects([report((40, 6, "/bin/sh"))], table(41))
    assert found.processes == (ProcessKey(40, 6),)


def test_everything_does_not_descend_from_init() -> None:
    found = evidence.subjects([report((1, 1, "/sbin/init"))], table(41))
    assert found.processes == (ProcessKey(1, 1),)


def test_documents_that_say_nothing_give_nothing() -> None:
    broken: Json = {"evidences": [{"process": {"uid": "40/x"}, "file": {"path": 7}}]}
    documents: list[Json] = [None, [], {}, {"evidences": {}}, {"evidences": [7]}, broken]
    assert evidence.subjects(documents, table()) == Subjects((), ())


def test_hostile_numbers_of_processes_and_files_are_bounded() -> None:
    documents = [report((n, n, f"/bin/{n}"), path=f"/tmp/{n}") for n in range(2, 200)]
    found = evidence.subjects(documents, ProcessTable())
    assert (len(found.processes), len(found.paths)) == (MAX_PROCESSES, MAX_PATHS)


def test_the_first_report_and_the_newest_are_chosen() -> None:
    entries = newest_first(*(entry(n) for n in range(20)), entry(99, incident_id="other"))
    chosen = evidence.chosen_reports(entries, INCIDENT)
    assert [one.index for one in chosen] == [0, *range(13, 20)]
    assert evidence.chosen_reports(entries, "nobody") == []


def test_the_excerpt_holds_what_names_the_incident_and_what_lies_around_it_redacted() -> None:
    entries = newest_first(
        entry(0, "start", "", token="hush"),
        entry(10, "incident"),
        entry(20, "response", INCIDENT, token="hush"),
        entry(21, "reload", ""),
        entry(500, "control", ""),
        entry(600, "response", INCIDENT),
    )
    reports = evidence.chosen_reports(entries, INCIDENT)
    shown: Any = evidence.excerpt(entries, reports, lambda text: text.replace("hush", "***"))
    assert [one["index"] for one in shown] == [0, 20, 21, 600]
    assert shown[1]["body"] == '{"token":"***"}'


def test_a_long_entry_is_cut_and_says_so() -> None:
    entries = [entry(1, "response", body="x" * 9000), entry(0)]
    shown: Any = evidence.excerpt(entries, entries[1:], str)
    assert len(shown[0]["body"]) == evidence.MAX_EXCERPT_BODY
    assert not shown[0]["is_whole"]


def test_what_does_not_fit_goes_in_order_and_is_said() -> None:
    whole: Any = {
        "incident": INCIDENT,
        "reports": [{"n": n, "text": "r" * 100} for n in range(8)],
        "processes": [{"pid": 1}],
        "files": [{"path": "/tmp/x", "content": "c" * 4000}],
        "journal": [{"body": "j" * 100} for _ in range(50)],
        "left_out": [],
    }
    assert evidence.fitting(whole, 100_000) == whole
    without_journal: Any = evidence.fitting(whole, 6000)
    assert without_journal["journal"] == []
    assert without_journal["files"] == whole["files"]
    assert without_journal["left_out"] == ["some of journal"]
    smallest: Any = evidence.fitting(whole, 500)
    assert [one["n"] for one in smallest["reports"]] == [0, 7]
    assert smallest["files"] == [{"path": "/tmp/x"}]
    for most_bytes in (500, 1000, 4000, 8000):
        assert len(strict_json.canonical(evidence.fitting(whole, most_bytes))) <= most_bytes
