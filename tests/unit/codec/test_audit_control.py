from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.cuts import taken_when_cut

from vedette.codec import audit_control as control
from vedette.codec.audit_control import Rule
from vedette.codec.syscalls import AARCH64, ARM, I386, NAMES, X86_64, abis
from vedette.errors import ParseError

RULE = Rule(
    control.FILTER_EXIT,
    control.ACTION_ALWAYS,
    ((control.FIELD_ARCH, X86_64.arch), (control.FIELD_SUCCESS, 1)),
    (59, 322),
    "a key",
)


def test_a_rule_comes_back() -> None:
    assert control.parse_rule(control.pack_rule(RULE)) == RULE
    assert control.parse_rule(control.pack_rule(RULE) + b"\0") == RULE
    keyless = RULE._replace(key="", syscalls=())
    assert control.parse_rule(control.pack_rule(keyless)) == keyless


def test_a_rule_has_the_kernels_layout() -> None:
    packed = control.pack_rule(RULE)
    assert len(packed) == 3 * 4 + 4 * 256 + 4 + len("a key")
    assert struct.unpack_from("=3I", packed) == (4, 2, 3)
    assert struct.unpack_from("=64I", packed, 12)[1] == 1 << 27
    assert struct.unpack_from("=3I", packed, 12 + 256) == (11, 104, 210)
    assert struct.unpack_from("=3I", packed, 12 + 512) == (0xC000003E, 1, 5)
    assert struct.unpack_from("=3I", packed, 12 + 768) == (0x40000000,) * 3
    assert packed.endswith(b"\x05\0\0\0a key")


def test_a_rule_cut_anywhere_is_refused() -> None:
    packed = control.pack_rule(RULE)
    assert taken_when_cut(control.parse_rule, packed, range(len(packed))) == []


def test_the_key_is_found_behind_other_texts() -> None:
    packed = bytearray(control.pack_rule(RULE._replace(key="/etckey")))
    watch = 105
    struct.pack_into("=I", packed, 12 + 256 + 4, watch)
    struct.pack_into("=I", packed, 12 + 512 + 4, 4)
    struct.pack_into("=I", packed, 12 + 512 + 8, 3)
    assert control.parse_rule(bytes(packed)).key == "key"
    struct.pack_into("=I", packed, 12 + 512 + 8, 4)
    with pytest.raises(ParseError, match="at most 3 bytes, got 4"):
        control.parse_rule(bytes(packed))


@pytest.mark.parametrize(
    "rule",
    [
        RULE._replace(syscalls=(2048,)),
        RULE._replace(key="k" * 257),
        RULE._replace(fields=((1, 1),) * 64),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(rule: Rule) -> None:
    with pytest.raises(ValueError, match="expected"):
        control.pack_rule(rule)


def test_status_of_every_kernel_is_read() -> None:
    whole = struct.pack("=11I", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    assert control.parse_status(whole) == control.Status(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    assert control.parse_status(whole + b"more") == control.parse_status(whole)
    assert control.parse_status(whole[:32])[-3:] == (0, 0, 0)
    assert control.pack_status(control.parse_status(whole)) == whole
    for cut in range(32):
        with pytest.raises(ParseError):
            control.parse_status(whole[:cut])


def test_a_change_names_its_fields_only() -> None:
    packed = control.change(control.STATUS_PID | control.STATUS_FAILURE, pid=9, failure=1)
    assert struct.unpack("=11I", packed) == (6, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0)


@given(st.binary(max_size=1100))
def test_any_bytes_give_a_value_or_a_parse_error(data: bytes) -> None:
    for parse in (control.parse_status, control.parse_rule):
        with contextlib.suppress(ParseError):
            parse(data)


def test_every_abi_names_every_call_and_no_number_twice() -> None:
    for abi in (X86_64, I386, ARM, AARCH64):
        numbers = abi.of(*abi.numbers)
        assert abi.numbers.keys() == X86_64.numbers.keys()
        assert len(set(numbers)) == len(numbers)
        assert {NAMES[abi.arch, number] for number in numbers} == abi.numbers.keys()


def test_a_64_bit_machine_has_a_32_bit_abi_too() -> None:
    assert [abis(name) for name in ("x86_64", "aarch64")] == [(X86_64, I386), (AARCH64, ARM)]
    assert (abis("i686"), abis("armv7l"), abis("riscv64")) == ((I386,), (ARM,), ())
