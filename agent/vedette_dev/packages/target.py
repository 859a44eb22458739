"""What a package is built for: an architecture and a suite of Debian, and what follows."""

from __future__ import annotations

from typing import Final, NamedTuple

from vedette.errors import RequestError


class Architecture(NamedTuple):
    """An architecture by the names that others give it.

    Attributes:
        machine: in the tags of wheels (PEP 600), and as uname(2) says.
        multiarch: in the file names of Debian's extension modules.
        has_btf: whether Debian's kernels of the suites below have BTF, so that eBPF can be used.
    """

    machine: str
    multiarch: str
    has_btf: bool


class Suite(NamedTuple):
    """A release of Debian.

    Attributes:
        number: of the release; ends a package's version, so that an upgrade of Debian is one of it.
        python: version of its /usr/bin/python3.
        glibc: the newest 2.x whose wheels it can load.
    """

    number: int
    python: str
    glibc: int


ARCHITECTURES: Final = {
    "amd64": Architecture("x86_64", "x86_64-linux-gnu", has_btf=True),
    "arm64": Architecture("aarch64", "aarch64-linux-gnu", has_btf=True),
    "armhf": Architecture("armv7l", "arm-linux-gnueabihf", has_btf=False),
}
SUITES: Final = {"bookworm": Suite(12, "3.11", 36), "trixie": Suite(13, "3.13", 41)}

OLDEST_GLIBC: Final = 17
"""manylinux2014 of PEP 599: nothing older is published for our Pythons."""


class Target(NamedTuple):
    """One package."""

    arch: str
    suite: str

    @property
    def architecture(self) -> Architecture:
        """Its architecture."""
        return ARCHITECTURES[self.arch]

    @property
    def release(self) -> Suite:
        """Its suite."""
        return SUITES[self.suite]

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platform tags of wheels that it can load, newest first (PEP 600)."""
        machine = self.architecture.machine
        tags = [
            f"manylinux_2_{minor}_{machine}"
            for minor in range(self.release.glibc, OLDEST_GLIBC - 1, -1)
        ]
        return (*tags, f"manylinux2014_{machine}")

    @property
    def markers(self) -> dict[str, str]:
        """The environment in which requirements' markers are judged (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.architecture.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.release.python}.0",
            "python_version": self.release.python,
            "sys_platform": "linux",
        }


def target(arch: str, suite: str) -> Target:
    """A target by its names.

    Raises:
        RequestError: there is none.
    """
    for what, word, known in (("ARCH", arch, ARCHITECTURES), ("SUITE", suite, SUITES)):
        if word not in known:
            raise RequestError(f'{what}: expected one of {", ".join(known)}, got "{word}"')
    return Target(arch, suite)
