"""A name for a device that was given none."""

from __future__ import annotations

import re
from pathlib import Path

from vedette.errors import ConfigError

MACHINE_ID = Path("/etc/machine-id")
PURPOSE = b"vedette/v1/device"
LENGTH = 16


def derived_device_id(machine_id: Path = MACHINE_ID) -> str:
    """16 hex digits that stay with this installation and do not give its machine id away.

    machine-id(5) asks applications to derive their own id by a keyed hash.

    Raises:
        ConfigError: there is no machine id; the configuration has to name the device.
    """
    try:
        machine = machine_id.read_bytes()[:64].strip()
    except OSError as error:
        raise ConfigError(
            f"{machine_id}: cannot be read ({error.strerror}), so this device has no id; "
            'add id = "a-name" below [device] in the configuration'
        ) from error
    if not re.fullmatch(rb"[0-9a-f]{32}", machine):
        raise ConfigError(
            f"{machine_id}: expected 32 hex digits, got {len(machine)} other bytes; "
            'add id = "a-name" below [device] in the configuration'
        )
    import hashlib  # noqa: PLC0415 (libcrypto: 4 MB that the keeper does not need)
    import hmac  # noqa: PLC0415 (likewise)

    return hmac.new(machine, PURPOSE, hashlib.sha256).hexdigest()[:LENGTH]
