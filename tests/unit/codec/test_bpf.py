from __future__ import annotations

import struct
from array import array

import pytest

from vedette.codec import bpf
from vedette.codec.bpf import Step, assemble


def test_labels_become_distances() -> None:
    program = assemble(
        [
            Step(bpf.JUMP_IF_EQUAL, 7, then="take", otherwise="drop"),
            Step(bpf.JUMP, then="drop"),
            Step(bpf.RETURN, 1, label="take"),
            Step(bpf.RETURN, 0, label="drop"),
        ]
    )
    assert [struct.unpack_from("=HBBI", program, at) for at in range(0, 32, 8)] == [
        (bpf.JUMP_IF_EQUAL, 1, 2, 7),
        (bpf.JUMP, 0, 0, 1),
        (bpf.RETURN, 0, 0, 1),
        (bpf.RETURN, 0, 0, 0),
    ]


DEFECTS = {
    "a missing label": [Step(bpf.JUMP, then="nowhere")],
    "a jump back": [Step(bpf.RETURN, 0, label="a"), Step(bpf.JUMP, then="a")],
    "a doubled label": [Step(bpf.RETURN, 0, label="a"), Step(bpf.RETURN, 0, label="a")],
    "a jump too far": [
        Step(bpf.JUMP_IF_EQUAL, 0, then="end"),
        *[Step(bpf.LOAD_BYTE)] * 300,
        Step(bpf.RETURN, 0, label="end"),
    ],
    "too many steps": [Step(bpf.LOAD_BYTE)] * (bpf.MAX_STEPS + 1),
}


@pytest.mark.parametrize("case", DEFECTS)
def test_a_defective_program_is_refused(case: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        assemble(DEFECTS[case])


def test_the_socket_option_holds_count_and_address() -> None:
    steps = array("B", assemble([Step(bpf.RETURN, 0)]))
    assert struct.unpack("@HP", bpf.program_option(steps)) == (1, steps.buffer_info()[0])
