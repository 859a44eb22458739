"""Classic BPF programs for socket filters, written with labels.

Source: Linux Documentation/networking/filter.rst.

Rule 1: jumps only lead forward and at most 255 steps, so a program ends; the assembler refuses
others with a ValueError, because programs are ours and a wrong one is a defect.
Rule 2: addresses of SKF_AD_* are Linux's ancillary data, not packet bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

# linux/bpf_common.h and linux/filter.h
LOAD_WORD = 0x20
LOAD_HALF = 0x28
LOAD_BYTE = 0x30
LOAD_WORD_INDEXED = 0x40
LOAD_HALF_INDEXED = 0x48
LOAD_MEMORY = 0x60
LOAD_X_IPV4_HEADER_BYTES = 0xB1
STORE = 0x02
AND = 0x54
COPY_TO_X = 0x07
JUMP = 0x05
JUMP_IF_EQUAL = 0x15
JUMP_IF_SET = 0x45
RETURN = 0x06

ANCILLARY = 0xFFFFF000
PACKET_TYPE = ANCILLARY + 4
HARDWARE_TYPE = ANCILLARY + 28

SO_ATTACH_FILTER = 26  # asm-generic/socket.h

MAX_STEPS = 4096  # BPF_MAXINSNS

_INSTRUCTION = Struct("=HBBI")
_SOCK_FPROG = Struct("@HP")
_MAX_JUMP = 255
_CONDITIONAL = frozenset({JUMP_IF_EQUAL, JUMP_IF_SET})


class Step(NamedTuple):
    """One instruction; an empty `then` or `otherwise` means the next step, `label` names this."""

    code: int
    value: int = 0
    then: str = ""
    otherwise: str = ""
    label: str = ""


def assemble(program: Sequence[Step]) -> bytes:
    """The program as an array of struct sock_filter.

    Raises:
        ValueError: a label is missing or doubled, a jump leads back or too far, or the program is
            longer than the kernel takes.
    """
    if len(program) > MAX_STEPS:
        raise ValueError(f"expected at most {MAX_STEPS} steps, got {len(program)}")
    places = {step.label: place for place, step in enumerate(program) if step.label}
    if len(places) != sum(1 for step in program if step.label):
        raise ValueError("expected every label once")
    return b"".join(_encode(step, place, places) for place, step in enumerate(program))


def program_option(steps: array[int]) -> bytes:
    """The value of SO_ATTACH_FILTER (struct sock_fprog) for an assembled program.

    Args:
        steps: the program as array("B"); it must live until setsockopt has returned, because the
            option holds its address.
    """
    address, size = steps.buffer_info()
    return _SOCK_FPROG.pack(size // _INSTRUCTION.size, address)


def _encode(step: Step, place: int, places: dict[str, int]) -> bytes:
    if step.code == JUMP:
        return _INSTRUCTION.pack(JUMP, 0, 0, _distance(step.then, place, places))
    then = _distance(step.then, place, places)
    otherwise = _distance(step.otherwise, place, places)
    if step.code in _CONDITIONAL and max(then, otherwise) > _MAX_JUMP:
        raise ValueError(f"expected a jump of at most {_MAX_JUMP} steps from step {place}")
    return _INSTRUCTION.pack(step.code, then, otherwise, step.value)


def _distance(label: str, place: int, places: dict[str, int]) -> int:
    if not label:
        return 0
    if label not in places or places[label] <= place:
        raise ValueError(f"expected label {label!r} after step {place}")
    return places[label] - place - 1
