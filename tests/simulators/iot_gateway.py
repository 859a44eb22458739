"""The day of an industrial gateway: Debian with systemd, a Python application, MQTT, apt, cron.

Written from Debian's own units and scripts: apt.systemd.daily, logrotate, run-parts, man-db,
update-motd.d, dhclient-script, dpkg's maintainer scripts; and a container that checks its health.
"""

from __future__ import annotations

from tests.simulators.iot_device import Device, Task

APPLETS: frozenset[str] = frozenset()
PROGRAMS = {
    name: f"{folder}/{name}"
    for folder, names in {
        "/usr/bin": "cat grep sed cut head tail sort wc tr date sleep rm mv cp mkdir ln touch "
        "ls df "
        "du free ps top uptime dmesg ping logger basename dirname expr test id uname stat find "
        "xargs "
        "mktemp env curl mosquitto_pub apt-get apt-config dpkg dpkg-deb python3.11 gpgv chronyc "
        "tar "
        "run-parts systemctl journalctl systemd-cat man-db mandb deb-systemd-helper awk mawk flock "
        "nmcli hostname readlink lsb_release dircolors lesspipe tput locale gzip xz ionice "
        "sha256sum "
        "deb-systemd-invoke systemd-tmpfiles runc who loginctl md5sum savelog ucf debconf",
        "/usr/sbin": "sshd cron rsyslogd chronyd NetworkManager logrotate dhclient fstrim ldconfig "
        "update-rc.d invoke-rc.d mosquitto dmidecode e2scrub_all nft iptables ip runc-shim ifup "
        "modprobe unix_chkpwd needrestart service useradd groupadd ModemManager",
        "/bin": "sh dash bash mount umount",
        "/usr/lib/systemd": "systemd systemd-logind systemd-udevd systemd-journald "
        "systemd-timesyncd",
        "/usr/lib/apt/methods": "http https gpgv-method",
        "/opt/gateway/bin": "gatewayd modbusd",
    }.items()
    for name in names.split()
} | {"sh": "/usr/bin/dash", "bash": "/usr/bin/bash", "python3": "/usr/bin/python3.11"}


def boot(device: Device) -> None:
    """systemd brings the machine up."""
    device.start("systemd", "/usr/lib/systemd/systemd --switched-root --system --deserialize 31")
    udev = device.start("udevd", "/usr/lib/systemd/systemd-udevd")
    for module in ("iTCO_wdt", "e1000e", "ftdi_sio", "nf_tables", "br_netfilter", "cdc_acm"):
        device.kernel(udev, "module_load", module)
    for point in (
        "/dev/hugepages",
        "/boot",
        "/var/log",
        "/run/user/1000",
        "/sys/fs/fuse/connections",
    ):
        device.kernel("systemd", "mount", point)
    for name, line, uid in (
        ("journald", "/usr/lib/systemd/systemd-journald", 0),
        ("logind", "/usr/lib/systemd/systemd-logind", 0),
        ("rsyslogd", "/usr/sbin/rsyslogd -n -iNONE", 0),
        ("cron", "/usr/sbin/cron -f", 0),
        ("sshd", "/usr/sbin/sshd -D", 0),
        ("chronyd", "/usr/sbin/chronyd -F 1", 108),
        ("NetworkManager", "/usr/sbin/NetworkManager --no-daemon", 0),
        ("mosquitto", "/usr/sbin/mosquitto -c /etc/mosquitto/mosquitto.conf", 109),
        ("gateway", "/usr/bin/python3.11 -m gateway --config /etc/gateway/config.toml", 1001),
        ("modbusd", "/opt/gateway/bin/modbusd /dev/ttyUSB0", 1001),
        ("containerd", "/usr/bin/containerd-shim-runc-v2 -namespace moby -id 4f1", 0),
    ):
        device.start(name, line, uid)
    for name, port in (("sshd", 22), ("mosquitto", 8883), ("gateway", 8443)):
        device.listen(name, port)
    device.kernel("chronyd", "uid_change", "108")
    device.kernel("mosquitto", "uid_change", "109")
    lease(device)


def readings(device: Device) -> None:
    """Every five seconds: a value from the field bus goes to the cloud's broker."""
    device.connect("gateway", "mqtt.cloud.example", 8883)
    if device.random.random() < 0.3:
        value = device.random.randrange(215, 225) / 10
        line = f"mosquitto_pub -h 127.0.0.1 -t plant/{device.random.randrange(12)}/t -m {value}"
        device.run("modbusd", line, uid=1001)


def health(device: Device) -> None:
    """Every minute: a script of the maker from cron."""
    opened = device.run("cron", "/usr/sbin/cron -f")
    device.say("CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)")
    device.say("CRON", "(root) CMD (/opt/gateway/bin/health.sh)")
    shell = device.run(opened, "/bin/sh -c /opt/gateway/bin/health.sh")
    script = device.run(shell, "/bin/sh /opt/gateway/bin/health.sh")
    for line in (
        "df -P /",
        "awk NR==2{print $5}",
        "cat /proc/loadavg",
        "systemctl is-active gateway.service",
        "systemctl is-active mosquitto.service",
        "chronyc tracking",
        "grep System",
        "ip -j addr show dev eth0",
        "date +%s",
        "stat -c %Y /run/gateway/alive",
    ):
        device.run(script, line)
    post = device.run(
        script,
        "curl -fsS -m 10 --retry 3 -H @/etc/gateway/header https://status.cloud.example/ping/gw-1",
    )
    device.connect(post, "status.cloud.example", 443)
    device.say("CRON", "pam_unix(cron:session): session closed for user root")


def container(device: Device) -> None:
    """Every three minutes: a health check inside of the container."""
    number = device.random.randrange(10**9)
    runc = device.run(
        "containerd",
        "runc --root /var/run/docker/runtime-runc/moby exec --process "
        f"/tmp/runc-process{number} --detach 4f1",
    )
    shell = device.run(runc, "/bin/sh -c curl -f http://localhost:8080/healthz || exit 1")
    probe = device.run(shell, "curl -f http://localhost:8080/healthz")
    device.connect(probe, "127.0.0.1", 8080)


def hourly(device: Device) -> None:
    """run-parts of cron.hourly, and the trims of timers."""
    opened = device.run("cron", "/usr/sbin/cron -f")
    shell = device.run(opened, "/bin/sh -c cd / && run-parts --report /etc/cron.hourly")
    device.run(shell, "run-parts --report /etc/cron.hourly")
    device.run("systemd", "systemd-tmpfiles --clean")
    device.say("systemd", "systemd-tmpfiles-clean.service: Deactivated successfully.")


def nightly(device: Device) -> None:
    """logrotate, man-db, dpkg's backup, fstrim."""
    rotate = device.run("systemd", "logrotate /etc/logrotate.conf")
    shell = device.run(
        rotate, "sh -c\n\t\t/usr/lib/rsyslog/rsyslog-rotate\n logrotate_script /var/log/syslog"
    )
    script = device.run(shell, "/bin/sh /usr/lib/rsyslog/rsyslog-rotate")
    device.run(script, "systemctl kill -s HUP rsyslog.service")
    device.run(rotate, "gzip -9")
    cron = device.run(
        "cron",
        "/bin/sh -c test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }",
    )
    parts = device.run(cron, "run-parts --report /etc/cron.daily")
    for name in ("apt-compat", "dpkg", "logrotate", "man-db"):
        device.run(parts, f"/bin/sh /etc/cron.daily/{name}")
    backup = device.run(parts, "/bin/sh /usr/libexec/dpkg/dpkg-db-backup")
    for line in (
        "savelog -c 7 dpkg.status",
        "tar -cf dpkg.alternatives.tar.0 -C /etc alternatives",
        "gzip -9 dpkg.status.0",
    ):
        device.run(backup, line)
    device.run("systemd", "/usr/bin/mandb --quiet")
    device.run(
        "systemd",
        "fstrim --listed-in /etc/fstab:/proc/self/mountinfo --verbose --quiet-unsupported",
    )


def apt(device: Device) -> None:
    """apt-daily: lists, and the upgrades that are for security."""
    daily = device.run("systemd", "/bin/sh /usr/lib/apt/apt.systemd.daily update")
    for line in (
        "apt-config shell AutoAptEnable APT::Periodic::Enable",
        "flock -w 3600 3",
        "date +%s",
        "stat -c %Y /var/lib/apt/periodic/update-stamp",
        "mktemp",
    ):
        device.run(daily, line)
    get = device.run(daily, "apt-get -qq -y update")
    method = device.run(get, "/usr/lib/apt/methods/https", uid=42)
    device.kernel(method, "uid_change", "42")
    device.connect(method, "deb.debian.example", 443)
    device.run(get, "gpgv --homedir /tmp/apt.gpghome." + device.word(10), uid=42)
    run = device.run("systemd", "/bin/sh /usr/lib/apt/apt.systemd.daily install")
    unattended = device.run(run, "/usr/bin/python3 /usr/bin/unattended-upgrade")
    dpkg = device.run(unattended, "dpkg --status-fd 11 --configure --pending")
    for name in ("cron", "libc6", "openssh-server", "sudo"):
        unpack = device.run(dpkg, f"dpkg-deb --fsys-tarfile /var/cache/apt/archives/{name}.deb")
        device.run(unpack, "tar -x")
    for path, mode in (
        ("/usr/sbin/cron", 0o755),
        ("/etc/cron.d/e2scrub_all", 0o644),
        ("/etc/pam.d/sshd", 0o644),
        ("/lib/systemd/system/ssh.service", 0o644),
        ("/usr/bin/sudo", 0o4755),
        ("/etc/init.d/ssh", 0o755),
        ("/etc/profile.d/gawk.sh", 0o644),
        ("/etc/ssh/moduli", 0o644),
    ):
        device.write(dpkg, f"{path}.dpkg-new", "created", mode)
        device.write(dpkg, f"{path}.dpkg-new", "modified", mode)
        device.move(dpkg, f"{path}.dpkg-new", path, mode)
        device.write(dpkg, f"{path}.dpkg-tmp", "deleted")
    for name in ("cron", "openssh-server", "sudo"):
        post = device.run(dpkg, f"/bin/sh /var/lib/dpkg/info/{name}.postinst configure 1.0")
        for line in (
            "deb-systemd-helper unmask ssh.service",
            "deb-systemd-helper enable ssh.service",
            "systemctl --system daemon-reload",
            "deb-systemd-invoke restart ssh.service",
            "update-rc.d ssh defaults",
            "id -u sshd",
            "mkdir -p /run/sshd",
        ):
            device.run(post, line)
        device.write(
            post, "/etc/systemd/system/multi-user.target.wants/ssh.service", "created", 0o777
        )
    device.run(dpkg, "ldconfig")
    device.run(unattended, "needrestart -m u -r a")


def lease(device: Device) -> None:
    """The lease of the address is renewed; NetworkManager writes the name servers."""
    device.write("NetworkManager", "/etc/resolv.conf", "created")
    script = device.run(
        "NetworkManager", "/bin/sh /etc/NetworkManager/dispatcher.d/01-ifupdown eth0 dhcp4-change"
    )
    device.run(script, "basename /etc/NetworkManager/dispatcher.d/01-ifupdown")
    device.say(
        "NetworkManager", "<info> dhcp4 (eth0): state changed new lease, address=192.168.1.50"
    )


def time(device: Device) -> None:
    """chronyd polls its servers."""
    for server in ("0.debian.pool.ntp.org", "1.debian.pool.ntp.org", "2.debian.pool.ntp.org"):
        device.connect("chronyd", server, 123, "udp")


def support(device: Device) -> None:
    """An engineer of the maker logs in with a key, looks, and restarts the application."""
    port = device.random.randrange(32_768, 60_000)
    device.accept("192.0.2.77", 22)
    device.say(
        "sshd", f"Accepted publickey for joe from 192.0.2.77 port {port} ssh2: ED25519 SHA256:abc"
    )
    device.say("sshd", "pam_unix(sshd:session): session opened for user joe(uid=1000) by (uid=0)")
    session = device.run("sshd", "/usr/sbin/sshd -D -R")
    device.kernel(session, "uid_change", "1000", "/usr/sbin/sshd")
    motd = device.run(
        session,
        "sh -c /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin run-parts --lsbsysinit "
        "/etc/update-motd.d",
    )
    parts = device.run(motd, "run-parts --lsbsysinit /etc/update-motd.d")
    device.run(device.run(parts, "/bin/sh /etc/update-motd.d/10-uname"), "uname -snrvm")
    shell = device.run(session, "-bash", cwd="/home/joe", uid=1000, login=1000)
    for line in (
        "id -u",
        "dircolors -b",
        "/bin/sh /usr/bin/lesspipe",
        "tput setaf 1",
        "journalctl -u gateway -n 100",
        "systemctl status gateway",
        "top",
        "df -h",
        "ls --color=auto -l",
        "tail -f /var/log/syslog",
        "ip addr",
        "free -m",
    ):
        device.pause(2, 25)
        device.run(shell, line, cwd="/home/joe", uid=1000, login=1000)
    device.say(
        "sudo",
        "joe : TTY=pts/0 ; PWD=/home/joe ; USER=root ; COMMAND=/usr/bin/systemctl restart gateway",
    )
    sudo = device.run(
        shell, "/usr/bin/sudo systemctl restart gateway", cwd="/home/joe", uid=0, login=1000
    )
    device.kernel(sudo, "uid_change", "0", "/usr/bin/sudo")
    device.run(sudo, "systemctl restart gateway", cwd="/home/joe", login=1000)
    device.start(
        "gateway", "/usr/bin/python3.11 -m gateway --config /etc/gateway/config.toml", 1001
    )


def strangers(device: Device) -> None:
    """Somebody on the network tries the door; it is locked. The rate of a private network."""
    port = device.random.randrange(32_768, 60_000)
    device.accept("192.168.1.99", 22)
    device.say("sshd", f"Connection closed by 192.168.1.99 port {port} [preauth]")


def backup(device: Device) -> None:
    """The application's data, packed and sent by its maker's script."""
    shell = device.run("cron", "/bin/sh -c /opt/gateway/bin/backup.sh")
    script = device.run(shell, "/bin/sh /opt/gateway/bin/backup.sh")
    device.run(script, "tar -czf /var/backups/gateway.tar.gz -C /var/lib gateway")
    device.run(script, "sha256sum /var/backups/gateway.tar.gz")
    post = device.run(
        script, "curl -fsS -T /var/backups/gateway.tar.gz https://backup.cloud.example/gw-1/"
    )
    device.connect(post, "backup.cloud.example", 443)


TASKS = [
    Task(readings, 5, 61),
    Task(health, 60, 70, 0),
    Task(container, 180, 66),
    Task(hourly, 3600),
    Task(nightly, 0, 1500),
    Task(apt, 0, 22_000),
    Task(lease, 21_600),
    Task(time, 1024),
    Task(support, 0, 37_000),
    Task(strangers, 14_400, jitter=0.9),
    Task(backup, 0, 9000),
]
