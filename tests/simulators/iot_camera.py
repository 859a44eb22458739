"""The day of an IP camera: BusyBox init, a vendor's programs that call shells, an SD card, a cloud.

Written from how such firmware is built: rcS starts one big application, its workers shell out for
what the vendor's engineers would have typed (GPIO of the infrared filter, wireless state, date).
"""

from __future__ import annotations

from tests.simulators.iot_device import Device, Task

# fmt: off
APPLETS = frozenset((
    "sh", "ash", "cat", "grep", "awk", "sed", "cut", "head", "tail", "sort", "wc", "tr", "date",
    "sleep", "rm", "mv", "cp", "mkdir", "ln", "touch", "ls", "df", "du", "free", "ps", "ping",
    "logger", "basename", "expr", "test", "[", "kill", "killall", "pidof", "mount", "umount",
    "md5sum", "hexdump", "gzip", "gunzip", "tar", "id", "hostname", "uname", "ifconfig", "route",
    "udhcpc", "syslogd", "klogd", "ntpd", "crond", "telnetd", "watchdog", "mdev", "hwclock",
    "find", "sync", "insmod", "lsmod", "rmmod", "devmem", "reboot", "mkdosfs", "fsck", "seq",
    "wget", "echo", "init",
))
# fmt: on
PROGRAMS = {
    name: f"{folder}/{name}"
    for folder, names in {
        "/usr/app/bin": "ipcam_main streamer recorder motiond cloudd audio_srv rtspd onvifd "
        "upgraded",
        "/usr/sbin": "wpa_supplicant wpa_cli dropbear lighttpd mdnsd fsck.vfat iwconfig iwlist",
        "/usr/bin": "curl openssl jq fw_printenv fw_setenv flashcp mosquitto_pub",
    }.items()
    for name in names.split()
}


def boot(device: Device) -> None:
    """rcS: modules, mounts, network, the application."""
    device.start("init", "init")
    rcs = device.run("init", "/bin/sh /etc/init.d/rcS")
    for point in ("/proc", "/sys", "/dev/pts", "/tmp", "/mnt/config", "/mnt/sd"):
        device.run(rcs, f"mount {point}")
        device.kernel(rcs, "mount", point)
    for module in ("sensor_gc2053", "isp_core", "8188fu", "mmc_block", "hw_wdt", "usbcore"):
        loader = device.run(rcs, f"insmod /lib/modules/4.9.84/{module}.ko")
        device.kernel(loader, "module_load", module)
    device.run(rcs, "mdev -s")
    device.run(rcs, "hwclock -s -u")
    device.run(rcs, "ifconfig lo 127.0.0.1 up")
    for name, line in (
        ("syslogd", "syslogd -O /tmp/messages -s 200 -b 1"),
        ("klogd", "klogd"),
        ("crond", "crond -c /etc/cron -L /dev/null"),
        ("watchdog", "watchdog -t 10 /dev/watchdog"),
        (
            "wpa_supplicant",
            ("/usr/sbin/wpa_supplicant -B -i wlan0 -c /mnt/config/wpa_supplicant.conf"),
        ),
        ("udhcpc", "udhcpc -i wlan0 -s /usr/share/udhcpc/default.script -b -A 10"),
        ("dropbear", "/usr/sbin/dropbear -s -p 22"),
        ("lighttpd", "/usr/sbin/lighttpd -f /etc/lighttpd.conf"),
        ("main", "/usr/app/bin/ipcam_main -c /mnt/config/app.json"),
        ("rtspd", "/usr/app/bin/rtspd -p 554"),
        ("onvifd", "/usr/app/bin/onvifd -p 8000"),
        ("recorder", "/usr/app/bin/recorder -d /mnt/sd/record"),
        ("cloudd", "/usr/app/bin/cloudd --broker mqtt.vendor.example"),
        ("motiond", "/usr/app/bin/motiond"),
    ):
        device.start(name, line)
    for name, port in (("rtspd", 554), ("onvifd", 8000), ("lighttpd", 80), ("dropbear", 22)):
        device.listen(name, port)
    lease(device)


def workers(device: Device) -> None:
    """Every ten seconds: the supervisor asks its workers, and the wireless driver."""
    for line in ("iwconfig wlan0", "cat /proc/net/wireless"):
        shell = device.run("main", f"sh -c {line} > /tmp/wifi_state")
        device.run(shell, line)
        device.write(shell, "/tmp/wifi_state")


def supervise(device: Device) -> None:
    """Every minute: the vendor's watch over its own daemons."""
    script = device.run("crond", "/bin/sh -c /usr/app/script/guard.sh")
    for line in (
        "pidof ipcam_main",
        "pidof rtspd",
        "pidof onvifd",
        "free",
        "df /mnt/sd",
        "cat /proc/loadavg",
        "ps",
        "grep -v grep",
        "date +%s",
    ):
        device.run(script, line)
    device.write(script, "/tmp/guard.log")


def day_and_night(device: Device) -> None:
    """The infrared filter moves at dawn, dusk and when a car passes."""
    for pin, value in ((12, 1), (13, 0)):
        device.run("main", f"sh -c echo {value} > /sys/class/gpio/gpio{pin}/value")
    device.run("main", "sh -c devmem 0x120F0104 32 0x1")


def motion(device: Device) -> None:
    """Something moves: a snapshot goes to the cloud."""
    stamp = int(device.now_s) // 30
    worker = device.run(
        "motiond", f"/usr/app/bin/streamer --snapshot /tmp/snap_{stamp}.jpg --channel 0"
    )
    device.write(worker, f"/tmp/snap_{stamp}.jpg", "created")
    device.write(worker, f"/tmp/snap_{stamp}.jpg")
    shell = device.run(
        "cloudd",
        f"sh -c curl -s -m 30 -F file=@/tmp/snap_{stamp}.jpg "
        "https://upload.vendor.example/v2/event",
    )
    post = device.run(
        shell,
        f"curl -s -m 30 -F file=@/tmp/snap_{stamp}.jpg https://upload.vendor.example/v2/event",
    )
    device.connect(post, "upload.vendor.example", 443)
    cleaner = device.run("cloudd", f"rm -f /tmp/snap_{stamp}.jpg")
    device.write(cleaner, f"/tmp/snap_{stamp}.jpg", "deleted")


def recordings(device: Device) -> None:
    """The card is full: the oldest hour goes."""
    shell = device.run("recorder", "sh -c ls /mnt/sd/record | head -n 1")
    device.run(shell, "ls /mnt/sd/record")
    device.run(shell, "head -n 1")
    hour = int(device.now_s) // 3600
    device.run("recorder", f"rm -rf /mnt/sd/record/20261120{hour:02}")
    device.run("recorder", "sync")


def cloud(device: Device) -> None:
    """Every minute: state to the cloud over MQTT, every tenth time over HTTP."""
    device.connect("cloudd", "mqtt.vendor.example", 8883)
    if device.random.random() < 0.1:
        post = device.run(
            "cloudd",
            "curl -s -m 15 --cacert /etc/ssl/vendor.pem -d @/tmp/state.json "
            "https://api.vendor.example/v2/state",
        )
        device.connect(post, "api.vendor.example", 443)


def time(device: Device) -> None:
    """The clock, by the application."""
    shell = device.run("main", "sh -c ntpd -n -q -p pool.ntp.org")
    query = device.run(shell, "ntpd -n -q -p pool.ntp.org")
    device.connect(query, "pool.ntp.org", 123, "udp")
    device.run("main", "sh -c hwclock -w -u")
    device.run("main", "hwclock -w -u")


def viewer(device: Device) -> None:
    """A recorder or an app asks for the stream."""
    device.accept("192.168.1.20", 554)
    device.accept("192.168.1.20", 8000)


def onvif_time(device: Device) -> None:
    """The video management sets the clock, and onvifd shells out for it."""
    shell = device.run("onvifd", "sh -c date -u -s 2026.11.21-12:00:00; hwclock -w -u")
    device.run(shell, "date -u -s 2026.11.21-12:00:00")
    device.run(shell, "hwclock -w -u")


def lease(device: Device) -> None:
    """udhcpc renews; the script of its maker writes the name servers."""
    script = device.run("udhcpc", "/bin/sh /usr/share/udhcpc/default.script renew")
    device.run(script, "ifconfig wlan0 192.168.1.33 netmask 255.255.255.0")
    device.run(script, "route add default gw 192.168.1.1 dev wlan0")
    device.write(script, "/etc/resolv.conf")
    device.say("udhcpc", "lease of 192.168.1.33 obtained, lease time 86400")


def update_check(device: Device) -> None:
    """Is there a new firmware? The answer goes to /tmp, where else."""
    script = device.run("crond", "/bin/sh /usr/app/script/check_update.sh")
    get = device.run(
        script,
        "wget -q -T 10 -O /tmp/fw_version.json https://update.vendor.example/v2/cam/latest.json",
    )
    device.connect(get, "update.vendor.example", 443)
    device.write(get, "/tmp/fw_version.json", "created")
    device.write(get, "/tmp/fw_version.json")
    device.run(script, "jq -r .version /tmp/fw_version.json")
    device.run(script, "cat /etc/version")
    device.run(script, "fw_printenv -n slot")


def upgrade(device: Device) -> None:
    """A new firmware is fetched, checked, written and booted."""
    script = device.run("main", "/bin/sh /usr/app/script/upgrade.sh 4.1.7")
    get = device.run(
        script, "curl -s -f -o /tmp/upgrade.img https://update.vendor.example/v2/cam/4.1.7.img"
    )
    device.connect(get, "update.vendor.example", 443)
    device.write(get, "/tmp/upgrade.img", "created")
    device.write(get, "/tmp/upgrade.img")
    device.run(
        script,
        "openssl dgst -sha256 -verify /etc/ssl/fw.pem -signature /tmp/upgrade.sig /tmp/upgrade.img",
    )
    for daemon in ("rtspd", "onvifd", "recorder"):
        device.run(script, f"killall {daemon}")
    device.run(script, "flashcp -v /tmp/upgrade.img /dev/mtd6")
    device.run(script, "fw_setenv slot b")
    device.run(script, "reboot")
    boot(device)


def support(device: Device) -> None:
    """The vendor's support logs in with its key and looks around."""
    port = device.random.randrange(32_768, 60_000)
    device.accept("192.0.2.77", 22)
    device.say("dropbear", f"Child connection from 192.0.2.77:{port}")
    device.say(
        "dropbear",
        f"Pubkey auth succeeded for 'root' with ssh-ed25519 key SHA256:abc from 192.0.2.77:{port}",
    )
    session = device.run("dropbear", "/usr/sbin/dropbear -s -p 22")
    shell = device.run(session, "-sh", cwd="/root")
    for line in (
        "ps",
        "df -h",
        "free",
        "cat /etc/version",
        "ifconfig",
        "tail -n 100 /tmp/messages",
        "cat /mnt/config/app.json",
        "ls -l /mnt/sd/record",
        "uname -a",
        "lsmod",
    ):
        device.pause(2, 25)
        device.run(shell, line, cwd="/root")
    device.say("dropbear", f"Exit (root) from <192.0.2.77:{port}>: Disconnect received")


def settings(device: Device) -> None:
    """The owner changes the picture in the app: the application writes its settings."""
    device.accept("192.168.1.20", 80)
    shell = device.run("main", "sh -c cp /mnt/config/app.json /mnt/config/app.json.bak; sync")
    device.run(shell, "cp /mnt/config/app.json /mnt/config/app.json.bak")
    device.run(shell, "sync")


TASKS = [
    Task(workers, 10, 61, 0),
    Task(supervise, 60, 64, 0),
    Task(day_and_night, 1800, jitter=0.9),
    Task(motion, 300, jitter=0.9),
    Task(recordings, 3600),
    Task(cloud, 60),
    Task(time, 3600),
    Task(viewer, 900, jitter=0.9),
    Task(onvif_time, 0, 43_000),
    Task(lease, 43_200),
    Task(update_check, 21_600),
    Task(upgrade, 0, 13_000),
    Task(support, 0, 35_000),
    Task(settings, 0, 64_000),
]
