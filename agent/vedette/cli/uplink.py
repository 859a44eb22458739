"""The part that sends: started by `vedette run` or its own systemd unit, rarely by hand.

Takes signed messages from the sentinel and publishes them over MQTT as a user of its own without
any capability. It holds the TLS key of the connection, never the device's signing key.

Example:
  vedette uplink --config /etc/vedette/vedette.toml

Exit codes: 0 stopped in good order, 2 could not start
"""

from __future__ import annotations

import argparse
import os
import sys

from vedette.cli._options import add_config, summary
from vedette.errors import ConfigError


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("uplink", help=summary(__doc__), description=__doc__)
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Hand the settings over and become the uplink, which never reads the configuration."""
    from vedette.daemon.notify import Notifier  # noqa: PLC0415 (as all below: not for --help)
    from vedette.daemon.watchdog import START_S  # noqa: PLC0415

    # A unit that nobody waits for has no time to start in: its watchdog counts from the exec, and
    # loading paho and ssl took a starved device longer than that, again and again.
    Notifier().allow(START_S)
    from vedette.daemon import build, config, privileges, uplink_main  # noqa: PLC0415
    from vedette.uplink.settings import UplinkSettings  # noqa: PLC0415

    given = config.load(args.config)
    broker = given.uplink
    if not broker.enabled:
        raise ConfigError(f"{args.config}: expected [uplink] host, or nothing is there to send to")
    descriptor = uplink_main.settings_descriptor(
        UplinkSettings(
            socket=str(given.uplink_socket),
            host=broker.host,
            port=broker.port,
            tls_ca=broker.ca,
            tls_cert=broker.certificate,
            tls_key=broker.key,
            client_id=given.device.id,
            keepalive_s=broker.keepalive_s,
            earliest_s=build.BUILD_S,
            user=broker.user,
            # As root it opens the socket before it becomes its user; a unit makes it that user.
            watches_dns=not privileges.missing({"net_raw"}),
        )
    )
    command = (sys.executable, "-I", "-m", uplink_main.__name__, str(descriptor))
    # What reading the configuration has loaded is gone with the exec.
    os.execv(sys.executable, command)  # noqa: S606 (argv is ours)
