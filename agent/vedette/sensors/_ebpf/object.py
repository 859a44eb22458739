"""Loads our eBPF object through the system's libbpf, without a binding.

Rule 1: every failure is a SensorError that says what is missing.
Rule 2: what was loaded and attached lives as long as our descriptors: nothing is pinned, so the
kernel takes all of it back when this process ends, however it ends.
Rule 3: options are written into the object before it is loaded, and counters read from it, as
memory that libbpf shares with the kernel: no system call.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from ctypes import POINTER, byref, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from typing import Any, Final

from vedette.errors import SensorError

LIBRARY: Final = "libbpf.so.1"
OBJECT_FILE: Final = os.path.join(os.path.dirname(__file__), "watch.bpf.o")  # noqa: PTH118, PTH120
BTF_FILE: Final = "/sys/kernel/btf/vmlinux"

MAX_CALLS: Final = 512
_REASON_BYTES: Final = 512
_LINK_INFO_BYTES: Final = 64
_CGROUP_ID_AT: Final = 16
_WARNING: Final = 0  # libbpf.h, enum libbpf_print_level


class Options(ctypes.Structure):
    """struct options in record.h."""

    _fields_ = (
        ("shared_bytes", ctypes.c_uint64),
        ("has_environment", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("calls", ctypes.c_uint8 * MAX_CALLS),
        ("compat_calls", ctypes.c_uint8 * MAX_CALLS),
    )


class Counters:
    """What the kernel counts (struct counters in record.h), read without a system call.

    Args:
        fd: of the map that holds it.
    """

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        self._numbers = memoryview(self._memory).cast("Q")

    @property
    def lost(self) -> list[int]:
        """Records that did not fit: of processes, the network, the kernel."""
        return self._numbers[:3].tolist()

    @property
    def repeated(self) -> int:
        """Connections not told because the same process had begun the same ones lately."""
        return self._numbers[3]

    @property
    def unreadable(self) -> int:
        """Executions whose arguments were not in memory."""
        return self._numbers[4]

    def close(self) -> None:
        """Unmap. Safe to call twice."""
        self._numbers.release()
        self._memory.close()


class KernelObject:
    """The object from `watch.bpf.o`: open, set up, load, attach, close.

    Raises:
        SensorError: libbpf or the object is missing, or not what we expect.
    """

    def __init__(self) -> None:
        path = OBJECT_FILE
        self._libbpf = library()
        self._links: list[int] = []
        self._by_cgroup: dict[str, int] = {}
        self._object: int | None = None
        if not os.access(path, os.R_OK):
            raise SensorError(f"ebpf: {path} is not there; build it with: make ebpf")
        self._object = self._libbpf.bpf_object__open_file(os.fsencode(path), None)
        if not self._object:
            raise self._failure(f"{path} cannot be opened")

    def options(self) -> Options:
        """To be filled before `load`."""
        found = self._libbpf.bpf_object__find_map_by_name(self._object, b".rodata")
        size = c_size_t()
        address = self._libbpf.bpf_map__initial_value(found, byref(size)) if found else None
        if not address or size.value < ctypes.sizeof(Options):
            raise SensorError(
                f"ebpf: expected {ctypes.sizeof(Options)} bytes of options in {OBJECT_FILE}, got "
                f"{size.value}; build it again with: make ebpf"
            )
        return Options.from_address(address)

    def set_ring_bytes(self, size_bytes: int) -> None:
        """The size of the ring: a power of two, at least a page."""
        ring = self._libbpf.bpf_object__find_map_by_name(self._object, b"ring")
        if self._libbpf.bpf_map__set_max_entries(ring, size_bytes) != 0:
            raise self._failure("the ring's size is refused")

    def leave_out(self, program: str) -> None:
        """Do not load a program: its hook is missing here, or nobody wants it."""
        self._libbpf.bpf_program__set_autoload(self._program(program), c_bool(False))

    def load(self) -> None:
        """Have the kernel check and take the programs; 20 to 50 ms.

        Raises:
            SensorError: it refuses; the message has libbpf's reason.
        """
        if self._libbpf.bpf_object__load(self._object) != 0:
            raise self._failure("the kernel does not take the programs")

    def attach(self, program: str, cgroup: int | None = None) -> None:
        """Let a program run from now on, at its tracepoint or below a cgroup.

        Args:
            program: its name in C.
            cgroup: descriptor of a cgroup v2 folder, for cgroup programs.
        """
        found = self._program(program)
        if cgroup is None:
            link = self._libbpf.bpf_program__attach(found)
        else:
            link = self._libbpf.bpf_program__attach_cgroup(found, cgroup)
        if not link:
            raise self._failure(f"{program} cannot be attached")
        self._links.append(link)
        if cgroup is not None:
            self._by_cgroup[program] = link

    def map_fd(self, name: str) -> int:
        """The descriptor of a map; it is closed by `close`."""
        found = self._libbpf.bpf_object__find_map_by_name(self._object, name.encode())
        fd: int = self._libbpf.bpf_map__fd(found)
        return fd

    def put(self, name: str, key: bytes, value: bytes) -> bool:
        """Write one entry of a map; whether the kernel took it."""
        done: int = self._libbpf.bpf_map_update_elem(self.map_fd(name), key, value, 0)
        return done == 0

    def take(self, name: str, key: bytes) -> bool:
        """Remove one entry of a map; whether it was there."""
        done: int = self._libbpf.bpf_map_delete_elem(self.map_fd(name), key)
        return done == 0

    def detached(self) -> tuple[str, ...]:
        """Programs that no longer run, although we hold their links (BPF_LINK_DETACH).

        The kernel detaches so only below cgroups; a tracepoint's link ends with its last holder.
        """
        return tuple(name for name, link in self._by_cgroup.items() if not self._is_attached(link))

    def _is_attached(self, link: int) -> bool:
        """Whether the kernel still names the cgroup of a link (struct bpf_link_info, linux/bpf.h).

        Where it gives no information about links (before 5.8) the proof decides.
        """
        info = ctypes.create_string_buffer(_LINK_INFO_BYTES)
        size = c_uint32(_LINK_INFO_BYTES)
        fd = self._libbpf.bpf_link__fd(link)
        if self._libbpf.bpf_obj_get_info_by_fd(fd, info, byref(size)) != 0:
            return True
        return any(info.raw[_CGROUP_ID_AT : _CGROUP_ID_AT + 8])

    def close(self) -> None:
        """Detach and unload everything. Safe to call twice."""
        self._by_cgroup.clear()
        while self._links:
            self._libbpf.bpf_link__destroy(self._links.pop())
        if self._object:
            self._libbpf.bpf_object__close(self._object)
            self._object = None

    def _program(self, name: str) -> int:
        found: int | None = self._libbpf.bpf_object__find_program_by_name(
            self._object, name.encode()
        )
        if not found:
            raise SensorError(f"ebpf: expected a program {name} in {OBJECT_FILE}, found none")
        return found

    def _failure(self, what: str) -> SensorError:
        number = ctypes.get_errno()
        reason = _HINTS.get(number) or _last_warning() or os.strerror(number)
        return SensorError(f"ebpf: {what}: {reason}")


_HINTS: Final = {
    errno.EPERM: "not allowed; it needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (run as root), and "
    "a kernel that is not locked down",
}
_libc = ctypes.CDLL(None)
_warnings: list[str] = []


def _note(level: int, template: bytes, arguments: int) -> int:
    """Keep what libbpf would print: it knows better than errno what was refused."""
    if level == _WARNING:
        text = ctypes.create_string_buffer(_REASON_BYTES)
        _libc.vsnprintf(text, c_size_t(_REASON_BYTES), template, c_void_p(arguments))
        _warnings[:] = [*_warnings[-1:], text.value.decode("utf-8", "replace")]
    return 0


_PRINT: Final = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)(_note)
"""Lives as long as libbpf may call it."""


def _last_warning() -> str:
    found = "; ".join(line.removeprefix("libbpf: ").strip() for line in _warnings)
    _warnings.clear()
    return found


_Signature = tuple[Any, list[Any]]
_SIGNATURES: Final[dict[str, _Signature]] = {
    "libbpf_set_print": (c_void_p, [c_void_p]),
    "bpf_object__open_file": (c_void_p, [c_char_p, c_void_p]),
    "bpf_object__load": (c_int, [c_void_p]),
    "bpf_object__close": (None, [c_void_p]),
    "bpf_object__find_program_by_name": (c_void_p, [c_void_p, c_char_p]),
    "bpf_object__find_map_by_name": (c_void_p, [c_void_p, c_char_p]),
    "bpf_map__initial_value": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "bpf_map__fd": (c_int, [c_void_p]),
    "bpf_map__set_max_entries": (c_int, [c_void_p, c_uint32]),
    "bpf_map_update_elem": (c_int, [c_int, c_char_p, c_char_p, ctypes.c_uint64]),
    "bpf_map_delete_elem": (c_int, [c_int, c_char_p]),
    "bpf_link__fd": (c_int, [c_void_p]),
    "bpf_obj_get_info_by_fd": (c_int, [c_int, c_void_p, POINTER(c_uint32)]),
    "bpf_program__set_autoload": (c_int, [c_void_p, c_bool]),
    "bpf_program__attach": (c_void_p, [c_void_p]),
    "bpf_program__attach_cgroup": (c_void_p, [c_void_p, c_int]),
    "bpf_link__destroy": (c_int, [c_void_p]),
    "ring_buffer__new": (c_void_p, [c_int, c_void_p, c_void_p, c_void_p]),
    "ring_buffer__consume": (c_int, [c_void_p]),
    "ring_buffer__free": (None, [c_void_p]),
}


def library() -> Any:
    """Libbpf with its signatures.

    Raises:
        SensorError: it is not there, or too old.
    """
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        library.libbpf_set_print(ctypes.cast(_PRINT, c_void_p))
    except (OSError, AttributeError) as error:
        raise SensorError(
            f"ebpf: {LIBRARY} cannot be used ({error}); install libbpf1 (Debian) or libbpf"
        ) from error
    return library
