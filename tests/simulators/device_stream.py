"""What a quiet router or camera does all day, as events: our own model, not telemetry.

Most events repeat, as on a device: jobs from cron, a heartbeat, a lease renewed, a pipeline of
sensors; numbers, temporary names and times make a few per cent of them new.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Mapping
from typing import TypeAlias

Event: TypeAlias = tuple[str, Mapping[str, str]]

BUSYBOX = "/bin/busybox"
_HELPERS = (
    ("cat", "cat /sys/class/thermal/thermal_zone{d}/temp"),
    ("grep", "grep -q up /sys/class/net/eth{d}/operstate"),
    ("sed", "sed -n {d}p /proc/meminfo"),
    ("cut", "cut -d: -f{d} /etc/passwd"),
    ("head", "head -n {d} /var/log/messages"),
    ("basename", "basename /dev/ttyS{d}"),
    ("sleep", "sleep {d}"),
    ("rm", "rm -f /tmp/m.{t}"),
    ("mktemp", "mktemp /tmp/tmp.{x}"),
    ("date", "date +%s"),
    ("logger", "logger -t iot heartbeat seq={n}"),
    ("ps", "ps w"),
    ("chmod", "chmod 600 /tmp/m.{t}"),
    ("wget", "wget -q -O /dev/null https://api.vendor.example/ping"),
    ("touch", "touch /var/run/iot/alive"),
    ("kill", "kill -0 {n}"),
    ("mount", "mount -o remount,ro /overlay"),
)
_PROGRAMS = (
    ("/usr/bin/curl", "curl -s -m 10 --cacert /etc/ssl/iot.pem https://api.vendor.example/v1/hb"),
    ("/usr/bin/curl", "curl -s -X POST -d @/tmp/m.{t} https://api.vendor.example/v1/m?ts={t}"),
    ("/sbin/ip", "ip -4 addr show dev eth0"),
    ("/sbin/ip", "ip route replace default via 192.168.1.1 dev eth0"),
    ("/usr/sbin/ntpd", "ntpd -q -n -p 0.pool.ntp.org"),
    ("/usr/sbin/dnsmasq", "/usr/sbin/dnsmasq -C /var/etc/dnsmasq.conf"),
    ("/usr/bin/mosquitto_pub", "mosquitto_pub -h 127.0.0.1 -t dev/{n} -m {{t:{t}}}"),
    ("/usr/sbin/iptables", "iptables -w -C INPUT -p tcp --dport 22 -j ACCEPT"),
    ("/usr/sbin/logrotate", "logrotate /etc/logrotate.conf"),
    ("/usr/bin/python3.11", "/usr/bin/python3 /opt/app/sensor.py --once --port /dev/ttyUSB0"),
    ("/usr/bin/ffmpeg", "ffmpeg -i rtsp://127.0.0.1/ch{d} -f hls /var/run/hls/{d}.m3u8"),
    ("/usr/bin/opkg", "opkg list-upgradable"),
    ("/usr/sbin/conntrack", "conntrack -C"),
)
_PARENTS = (
    ("/usr/sbin/crond", "", "/usr/sbin/crond -f -l 8"),
    (BUSYBOX, "/bin/sh", "/bin/sh /usr/lib/iot/job1.sh"),
    (BUSYBOX, "/bin/sh", "/bin/sh /usr/share/udhcpc/default.script renew"),
    ("/sbin/procd", "", "/sbin/procd"),
    (BUSYBOX, "/bin/ash", "-ash"),
)
_FILES = (
    ("/var/run/iot/state.json", "modified", "0644"),
    ("/var/log/messages", "modified", "0640"),
    ("/tmp/m.{t}", "created", "0600"),
    ("/tmp/m.{t}", "deleted", "0600"),
    ("/etc/config/system", "modified", "0644"),
    ("/tmp/resolv.conf.d/resolv.conf.auto", "modified", "0644"),
    ("/var/lib/dhcp/dhclient.leases", "modified", "0644"),
)
_NAMES = ("api.vendor.example", "0.pool.ntp.org", "mqtt.vendor.example", "time.cloud.example")
_LOG = (
    ("dropbear", "Pubkey auth succeeded for 'root' with key sha1!! from 192.168.1.5:5{n}"),
    ("dnsmasq-dhcp", "DHCPACK(br-lan) 192.168.1.{d} 02:00:00:00:00:0{d} phone"),
    ("kernel", "br-lan: port {d}(lan{d}) entered forwarding state"),
    ("cron", "USER root pid {n} cmd /usr/lib/iot/job{d}.sh"),
)


def benign_events(count: int, seed: int) -> Iterator[Event]:
    """So many events; the same for the same seed."""
    draw = random.Random(seed)
    for index in range(count):
        kind = draw.choices(("process", "file", "network", "dns", "log"), (70, 12, 10, 5, 3))[0]
        yield _MAKERS[kind](draw, index)


def process_events(count: int, seed: int) -> Iterator[Event]:
    """Executions only, most of them repeats."""
    draw = random.Random(seed)
    for index in range(count):
        yield _process(draw, index)


def _fill(template: str, draw: random.Random, index: int) -> str:
    return template.format(
        d=draw.randrange(7),
        n=index // 30,
        t=1_795_240_000 + index // 40,
        x="".join(draw.choices(string.ascii_letters, k=6)),
    )


def _process(draw: random.Random, index: int) -> Event:
    parent, parent_alias, parent_line = draw.choice(_PARENTS)
    fields = {"User": "root", "UserId": "0", "LogonId": "-1", "CurrentDirectory": "/"}
    if draw.random() < 0.6:
        applet, template = draw.choice(_HELPERS)
        fields |= {"Image": BUSYBOX, "ImageAlias": f"/bin/{applet}", "Argv0": applet}
    else:
        image, template = draw.choice(_PROGRAMS)
        fields |= {"Image": image, "Argv0": template.split()[0]}
    if parent_alias:
        fields["ParentImageAlias"] = parent_alias
    fields |= {
        "CommandLine": _fill(template, draw, index),
        "ParentImage": parent,
        "ParentCommandLine": parent_line,
        "Ancestors": f"{parent_alias or parent}|/sbin/init",
        "ProcessId": str(2000 + index),
        "ParentProcessId": str(1000 + index % 50),
    }
    return "process_creation", fields


def _file(draw: random.Random, index: int) -> Event:
    path, action, mode = draw.choice(_FILES)
    return "file_event", {
        "TargetFilename": _fill(path, draw, index),
        "Action": action,
        "Mode": mode,
        "Image": BUSYBOX,
        "ImageAlias": "/bin/sh",
        "User": "root",
        "Tier": "fanotify",
    }


def _network(draw: random.Random, index: int) -> Event:
    return "network_connection", {
        "Initiated": draw.choice(("true", "false")),
        "Protocol": draw.choice(("tcp", "udp")),
        "SourceIp": "192.168.1.1",
        "SourcePort": str(32768 + index % 20_000),
        "DestinationIp": f"203.0.113.{draw.randrange(4)}",
        "DestinationPort": draw.choice(("443", "123", "8883", "53")),
        "DestinationHostname": draw.choice(_NAMES),
        "Image": "/usr/bin/curl",
        "User": "root",
    }


def _dns(draw: random.Random, _: int) -> Event:
    return "dns_query", {"QueryName": draw.choice(_NAMES), "QueryType": "1"}


def _log(draw: random.Random, index: int) -> Event:
    service, message = draw.choice(_LOG)
    return f"service:{service}", {"Message": _fill(message, draw, index), "Service": service}


_MAKERS = {"process": _process, "file": _file, "network": _network, "dns": _dns, "log": _log}
