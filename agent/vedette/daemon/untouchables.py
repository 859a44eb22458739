"""Finds out what no response may ever touch on this device.

Rule 1: ours (processes, files, units), what this host's network stands on (gateways, name servers,
DHCP), the way to the operator, and whatever the owner adds in [response].
Rule 2: system programs are never moved away: a rule that matches what a shell was told to do must
not cost the device its shell.
Rule 3: what cannot be read protects nobody and stops nothing: it is read again at the next look.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import vedette
from vedette.codec import host_network
from vedette.codec.address_sets import address_number
from vedette.codec.addresses import address_text
from vedette.codec.procnet import parse_table
from vedette.core.inputs import Guarded
from vedette.daemon import privileges
from vedette.daemon.config import Config
from vedette.daemon.shell import now
from vedette.errors import ConfigError, ParseError

MAX_BYTES = 1 << 20
SYSTEM_PATHS = (
    "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr", "/boot", "/proc", "/sys", "/etc/passwd",
    "/etc/shadow", "/etc/group", "/etc/inittab", "/etc/fstab", "/etc/systemd", "/etc/ld.so.cache",
    "/etc/ld.so.conf",
)  # fmt: skip
"""Taken away, any of these may keep a device from starting."""
OWN_UNITS = (
    "vedette.service", "vedette-sentinel.service", "vedette-uplink.service",
    "vedette-holder.service", "vedette-guardian.service", "init.scope", "-.slice",
    "dbus.service", "systemd-journald.service", "systemd-udevd.service",
)  # fmt: skip
KEEPER = b"vedette.daemon.keeper"
_LEASES = ("/run/systemd/netif/leases", "/var/lib/dhcp")


class Untouchables:
    """Looks, and tells what has changed.

    Args:
        config: names ours and what the owner adds.
        tell: gives it to the core.
        others: what else must not be touched, such as the essential functions; asked at each look.
        proc: where proc(5) is.
        etc: where /etc is.
    """

    def __init__(
        self,
        config: Config,
        tell: Callable[[Guarded], None],
        *,
        proc: Path = Path("/proc"),
        etc: Path = Path("/etc"),
    ) -> None:
        self._config, self._tell = config, tell
        self._proc, self._etc = proc, etc
        self._told: tuple[object, ...] = ()
        self.others: Callable[[], Guarded | None] = lambda: None

    def look(self) -> None:
        """Find out again, and tell it if it is not what was told."""
        found = self._found()
        if found[2:] != self._told:
            self._told = found[2:]
            self._tell(found)

    def _found(self) -> Guarded:
        response, others = self._config.response, self.others()
        more = others or Guarded(0.0, 0.0, frozenset(), frozenset(), frozenset(), frozenset())
        return Guarded(
            *now(),
            pids=frozenset({1, *self._own_pids()}) | more.pids,
            addresses=frozenset({*self._addresses(), *response.never_addresses}) | more.addresses,
            units=frozenset({*OWN_UNITS, *response.never_units}) | more.units,
            paths=frozenset({*self._paths(), *response.never_paths}) | more.paths,
        )

    def _own_pids(self) -> Iterator[int]:
        """The sentinel and the keeper, and what those two started."""
        for pid in (os.getpid(), os.getppid()):
            if pid == os.getpid() or KEEPER in _read(self._proc / str(pid) / "cmdline"):
                yield pid
                for thread in _numbers(self._proc / str(pid) / "task"):
                    children = self._proc / str(pid) / "task" / str(thread) / "children"
                    yield from (int(one) for one in _read(children).split() if one.isdigit())

    def _paths(self) -> Iterator[str]:
        config = self._config
        yield from SYSTEM_PATHS
        yield from (config.paths.state, config.paths.run, "/etc/vedette")
        yield from (config.rules.bundle, config.rules.trust, config.identity.key)
        yield from (config.response.playbooks, config.rules.profile)
        yield str(Path(vedette.__file__).parent)
        yield str(Path(sys.executable).resolve())

    def _addresses(self) -> Iterator[str]:
        yield from host_network.gateways(_read(self._proc / "net/route"))
        yield from host_network.gateways_v6(_read(self._proc / "net/ipv6_route"))
        yield from host_network.servers(_read(self._etc / "resolv.conf"))
        for folder in map(Path, _LEASES):
            with suppress(OSError):
                for file in sorted(folder.iterdir()):
                    yield from host_network.servers(_read(file))
        yield from self._uplink_peers()

    def _uplink_peers(self) -> Iterator[str]:
        """The broker's addresses: as written, and as the uplink is connected to it now."""
        uplink = self._config.uplink
        if not uplink.enabled:
            return
        if address_number(uplink.host) is not None:
            yield uplink.host
        with suppress(ConfigError):
            uid = privileges.account(uplink.user)[0] if os.geteuid() == 0 else os.geteuid()
            for table in ("net/tcp", "net/tcp6"):
                with suppress(ParseError):
                    for record in parse_table(_read(self._proc / table), sys.byteorder):
                        if record.uid == uid and record.remote_port == uplink.port:
                            yield address_text(record.remote)


def _numbers(folder: Path) -> list[int]:
    with suppress(OSError):
        return [int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()]
    return []


def _read(path: Path) -> bytes:
    with suppress(OSError), path.open("rb") as stream:
        return stream.read(MAX_BYTES)
    return b""
