"""Numbers of the system calls we ask the kernel about, per audit architecture.

Rule: names are the kernel's; the 16-bit and 32-bit uid calls of a 32-bit architecture (setuid,
setuid32) are one name here, since they mean the same to a rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

AUDIT_ARCH_I386: Final = 0x40000003
AUDIT_ARCH_X86_64: Final = 0xC000003E
AUDIT_ARCH_ARM: Final = 0x40000028
AUDIT_ARCH_AARCH64: Final = 0xC00000B7
"""linux/audit.h: ELF machine | 64-bit flag | little-endian flag."""


class Abi(NamedTuple):
    """One way to call a kernel.

    Attributes:
        arch: its AUDIT_ARCH_* value.
        numbers: the numbers behind each name.
    """

    arch: int
    numbers: Mapping[str, tuple[int, ...]]

    def of(self, *names: str) -> tuple[int, ...]:
        """The numbers of all these names; a name that this ABI lacks adds none."""
        return tuple(number for name in names for number in self.numbers.get(name, ()))


# arch/x86/entry/syscalls/syscall_64.tbl
X86_64: Final = Abi(
    AUDIT_ARCH_X86_64,
    {
        "execve": (59,), "execveat": (322,), "init_module": (175,), "finit_module": (313,),
        "delete_module": (176,), "mount": (165,), "umount2": (166,), "move_mount": (429,),
        "ptrace": (101,), "capset": (126,), "setuid": (105,), "setreuid": (113,),
        "setresuid": (117,), "setgid": (106,), "setregid": (114,), "setresgid": (119,),
        "bpf": (321,), "memfd_create": (319,), "process_vm_readv": (310,),
        "process_vm_writev": (311,), "clock_settime": (227,), "settimeofday": (164,),
        "kill": (62,), "tgkill": (234,),
    },
)  # fmt: skip

_UID_CALLS_32: Final = {
    "setuid": (23, 213), "setreuid": (70, 203), "setresuid": (164, 208),
    "setgid": (46, 214), "setregid": (71, 204), "setresgid": (170, 210), "capset": (185,),
}  # fmt: skip

# arch/x86/entry/syscalls/syscall_32.tbl
I386: Final = Abi(
    AUDIT_ARCH_I386,
    {
        "execve": (11,), "execveat": (358,), "init_module": (128,), "finit_module": (350,),
        "delete_module": (129,), "mount": (21,), "umount2": (22, 52), "move_mount": (429,),
        "ptrace": (26,), "bpf": (357,), "memfd_create": (356,), "process_vm_readv": (347,),
        "process_vm_writev": (348,), "clock_settime": (264, 404), "settimeofday": (79, 25),
        "kill": (37,), "tgkill": (270,), **_UID_CALLS_32,
    },
)  # fmt: skip

# arch/arm/tools/syscall.tbl
ARM: Final = Abi(
    AUDIT_ARCH_ARM,
    {
        "execve": (11,), "execveat": (387,), "init_module": (128,), "finit_module": (379,),
        "delete_module": (129,), "mount": (21,), "umount2": (52,), "move_mount": (429,),
        "ptrace": (26,), "bpf": (386,), "memfd_create": (385,), "process_vm_readv": (376,),
        "process_vm_writev": (377,), "clock_settime": (262, 404), "settimeofday": (79,),
        "kill": (37,), "tgkill": (268,), **_UID_CALLS_32,
    },
)  # fmt: skip

# include/uapi/asm-generic/unistd.h
AARCH64: Final = Abi(
    AUDIT_ARCH_AARCH64,
    {
        "execve": (221,), "execveat": (281,), "init_module": (105,), "finit_module": (273,),
        "delete_module": (106,), "mount": (40,), "umount2": (39,), "move_mount": (429,),
        "ptrace": (117,), "capset": (91,), "setuid": (146,), "setreuid": (145,),
        "setresuid": (147,), "setgid": (144,), "setregid": (143,), "setresgid": (149,),
        "bpf": (280,), "memfd_create": (279,), "process_vm_readv": (270,),
        "process_vm_writev": (271,), "clock_settime": (112,), "settimeofday": (170,),
        "kill": (129,), "tgkill": (131,),
    },
)  # fmt: skip

_BY_MACHINE: Final[Mapping[str, tuple[Abi, ...]]] = {
    "x86_64": (X86_64, I386),
    "aarch64": (AARCH64, ARM),
    "i386": (I386,), "i486": (I386,), "i586": (I386,), "i686": (I386,),
    "armv6l": (ARM,), "armv7l": (ARM,), "armv8l": (ARM,),
}  # fmt: skip

NAMES: Final[Mapping[tuple[int, int], str]] = {
    (abi.arch, number): name
    for abi in (X86_64, I386, ARM, AARCH64)
    for name, numbers in abi.numbers.items()
    for number in numbers
}
"""(AUDIT_ARCH_*, number) -> name."""


def abis(machine: str) -> tuple[Abi, ...]:
    """The ways to call the kernel of a machine (uname -m), its own first; () where unknown."""
    return _BY_MACHINE.get(machine, ())
