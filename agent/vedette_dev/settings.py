"""Writes the configuration of a development run."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping, Sequence

from vedette.daemon.config import WATCHED, parse
from vedette.sensors.log_file import PATHS as LOGS
from vedette_dev.workbench import UPLINK_UID, Workbench

TENANT = "workbench"
QUIET_S = 60


def device_name() -> str:
    """This machine's name as a topic may have it: letters, digits, hyphens."""
    name = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")
    return name[:60].strip("-") or "this-machine"


def write(
    bench: Workbench,
    *,
    port: int,
    disabled: Sequence[str] = (),
    watch: Sequence[str] = WATCHED,
    more: Mapping[str, Mapping[str, object]] | None = None,
) -> None:
    """Write `.dev/vedette.toml` for a broker on this port of loopback.

    Args:
        bench: where it goes.
        port: the broker's.
        disabled: sensors that may not be used.
        watch: trees that are watched beside the throwaway one.
        more: further tables.
    """
    tls = bench.uplink_tls
    tables: dict[str, Mapping[str, object]] = {
        "device": {"id": device_name(), "tenant": TENANT},
        "paths": {"state": str(bench.state), "run": str(bench.run)},
        "files": {"watch": [*watch, str(bench.watched)]},
        "sensors": {"disable": list(disabled)},
        "sensors.log_file": {"paths": [*LOGS, str(bench.device_log)]},
        "rules": {"bundle": str(bench.bundle), "trust": str(bench.trust)},
        "response": {"playbooks": str(bench.playbooks)},
        "uplink": {
            "host": "127.0.0.1",
            "port": port,
            "ca": str(tls / "ca.pem"),
            "certificate": str(tls / "device.pem"),
            "key": str(tls / "device.key"),
            "user": str(UPLINK_UID) if os.geteuid() == 0 else str(os.geteuid()),
        },
        "identity": {"key": str(bench.keys / "device.key")},
        "incidents": {"quiet_s": QUIET_S},
        **(more or {}),
    }
    bench.config.write_text(text(tables, by="make run"))


def text(tables: Mapping[str, Mapping[str, object]], *, by: str) -> str:
    """A configuration file.

    Args:
        tables: by name.
        by: who writes it, for whoever would change it.

    Raises:
        ConfigError: it is not what the agent reads (a defect of ours).
    """
    made = f"# Written by `{by}`: changes are lost at its next start.\n" + "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )
    parse(made, "the configuration")
    return made


def _toml(value: object) -> str:
    # Texts and numbers of TOML are JSON's, lists of them too (TOML 1.0 "String", "Array").
    return json.dumps(value, ensure_ascii=False)
