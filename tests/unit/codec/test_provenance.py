"""In-toto statements: what is read of them has one form, what is not passes by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.signing import envelope, signer

from vedette.codec import provenance as codec
from vedette.codec.strict_json import canonical, parse
from vedette.errors import ParseError
from vedette.model.provenance import Authorship, StatementKind

SHA = "sha256:" + "0a" * 32
COMMIT = "gitCommit:" + "0b" * 20
BUILD = {
    "buildDefinition": {
        "buildType": "https://ci.example/workflow/v1",
        "externalParameters": {"ref": "main"},
        "resolvedDependencies": [{"digest": {"gitCommit": "0b" * 20}, "uri": "git+https://x"}],
    },
    "runDetails": {"builder": {"id": "https://ci.example"}, "metadata": {"invocationId": "7"}},
}  # as slsa.dev/provenance/v1 shows it


def statement(predicate_type: str = codec.SLSA, predicate: Any = BUILD, **more: Any) -> Any:
    subject = [{"digest": {"sha256": "0a" * 32}, "name": "cam.img"}]
    return {
        "_type": codec.STATEMENT, "predicate": predicate, "predicateType": predicate_type,
        "subject": subject,
    } | more  # fmt: skip


def read(value: Any) -> Any:
    return codec.decode_payload(canonical(value))


def test_a_build_says_who_built_what_from_what() -> None:
    found = read(statement())
    assert found.kind is StatementKind.BUILD
    assert (found.subjects, found.builder) == ({SHA}, "https://ci.example")
    assert found.materials == {COMMIT}


@pytest.mark.parametrize("dependencies", [None, []])
def test_a_build_may_name_no_source(dependencies: Any) -> None:
    build = {**BUILD, "buildDefinition": {"buildType": "x:y", "resolvedDependencies": dependencies}}
    assert read(statement(predicate=build)).materials == frozenset()


@pytest.mark.parametrize("word", Authorship)
def test_authorship_is_one_of_our_words(word: Authorship) -> None:
    found = read(statement(codec.AUTHORSHIP, {"authorship": str(word), "note": "by hand"}))
    assert (found.kind, found.authorship, found.note) == (StatementKind.AUTHORSHIP, word, "by hand")


@pytest.mark.parametrize(("result", "is_good"), [("approved", True), ("changes-requested", False)])
def test_a_review_says_yes_or_no(result: str, is_good: bool) -> None:  # noqa: FBT001
    found = read(statement(codec.REVIEW, {"result": result}))
    assert (found.kind, found.is_good) == (StatementKind.REVIEW, is_good)


def test_an_approval_says_yes() -> None:
    found = read(statement(codec.APPROVAL, {}))
    assert (found.kind, found.is_good) == (StatementKind.APPROVAL, True)


def test_another_predicate_is_kept_and_not_judged() -> None:
    found = read(statement("https://spdx.dev/Document", {"anything": [1]}))
    assert (found.kind, found.note) == (StatementKind.OTHER, "https://spdx.dev/Document")


def test_what_in_toto_adds_later_passes_by() -> None:
    value = statement(extra=1)
    value["subject"][0]["annotations"] = {"x": 1}
    value["subject"][0]["digest"]["blake3"] = "not hex at all"
    value["subject"].append({"uri": "https://no.digest"})
    assert read(value).subjects == {SHA}


def test_what_was_written_is_read() -> None:
    data = codec.encode_payload({SHA: "cam.img", COMMIT: "source"}, codec.APPROVAL, {"note": "x"})
    assert codec.decode_payload(data).subjects == {SHA, COMMIT}


def test_an_envelope_keeps_what_was_signed() -> None:
    payload = codec.encode_payload({SHA: "cam.img"}, codec.APPROVAL, {})
    found = codec.decode(envelope(codec.PAYLOAD_TYPE, payload, [signer(1)]))
    assert found.message.startswith(b"DSSEv1 28 application/vnd.in-toto+json ")
    assert len(found.signatures) == 1
    with pytest.raises(ParseError, match="payload of type"):
        codec.decode(envelope("application/json", payload, [signer(1)]))


def _change(*path: str, to: Any) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for name in path[:-1]:
            value = value[name]
        value[path[-1]] = to

    return change


CHANGES: dict[str, Callable[[Any], None]] = {
    "another type": _change("_type", to="https://in-toto.io/Statement/v0.1"),
    "no subject": _change("subject", to=[]),
    "a subject without a digest": _change("subject", to=[{"name": "x"}]),
    "a digest that is no hex": _change("subject", to=[{"digest": {"sha256": "zz" * 32}}]),
    "a digest in capitals": _change("subject", to=[{"digest": {"sha256": "0A" * 32}}]),
    "a short digest": _change("subject", to=[{"digest": {"sha256": "0a" * 8}}]),
    "an algorithm with a colon": _change("subject", to=[{"digest": {"sha256:x": "0a" * 32}}]),
    "a subject that is text": _change("subject", to=["cam.img"]),
    "1025 subjects": _change("subject", to=[{"digest": {"sha256": "0a" * 32}}] * 1025),
    "a predicate type that is none": _change("predicateType", to=7),
    "a predicate type that deceives": _change("predicateType", to="a\u202eb"),
    "a predicate that is a list": _change("predicate", to=[]),
    "no builder": _change("predicate", "runDetails", to={}),
    "a builder without a name": _change("predicate", "runDetails", to={"builder": {"id": ""}}),
    "a builder of two lines": _change("predicate", "runDetails", to={"builder": {"id": "a\nb"}}),
    "no build definition": _change("predicate", "buildDefinition", to=None),
    "no build type": _change("predicate", "buildDefinition", to={}),
    "dependencies that are an object": _change(
        "predicate", "buildDefinition", "resolvedDependencies", to={"a": 1}
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_is_odd_is_refused(change: Callable[[Any], None]) -> None:
    value = parse(canonical(statement()), max_bytes=10_000)
    change(value)
    with pytest.raises(ParseError, match="expected"):
        read(value)


@pytest.mark.parametrize(
    ("predicate_type", "predicate"),
    [
        (codec.AUTHORSHIP, {"authorship": "robot"}), (codec.AUTHORSHIP, {}),
        (codec.AUTHORSHIP, {"authorship": ["human"]}), (codec.REVIEW, {"result": True}),
        (codec.REVIEW, {}), (codec.APPROVAL, {"note": "a\x1b[2J"}), (codec.APPROVAL, {"note": 1}),
    ],
)  # fmt: skip
def test_words_of_ours_have_one_form(predicate_type: str, predicate: Any) -> None:
    with pytest.raises(ParseError, match="expected"):
        read(statement(predicate_type, predicate))


def test_a_statement_is_not_endless() -> None:
    with pytest.raises(ParseError, match="at most"):
        codec.decode(b" " * (codec.MAX_BYTES + 1))


@given(st.binary(max_size=200))
def test_any_bytes_give_an_error(data: bytes) -> None:
    with pytest.raises(ParseError):
        codec.decode(data)
    with pytest.raises(ParseError):
        codec.decode_payload(data)


@given(st.integers(0), st.binary(min_size=1, max_size=3))
def test_any_damage_gives_a_statement_or_an_error(place: int, patch: bytes) -> None:
    data = bytearray(canonical(statement()))
    start = place % len(data)
    data[start : start + len(patch)] = patch
    try:
        found = codec.decode_payload(bytes(data))
    except ParseError:
        return
    assert found.subjects
