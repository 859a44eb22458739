"""The day of a home router: OpenWrt's habits (procd, netifd, ubus, uci, dnsmasq, hostapd, LuCI).

Written from OpenWrt's own scripts: /lib/netifd/dhcp.script, /usr/share/udhcpc, hotplug-call,
ddns-scripts, sysupgrade, opkg; and from what vendors add: a health script, a cloud heartbeat.
"""

from __future__ import annotations

from tests.simulators.iot_device import Device, Task

# fmt: off
APPLETS = frozenset((
    "sh", "ash", "cat", "grep", "egrep", "awk", "sed", "cut", "head", "tail", "sort", "uniq",
    "wc", "tr", "date", "sleep", "rm", "mv", "cp", "mkdir", "ln", "touch", "ls", "df", "du",
    "free", "ps", "top", "uptime", "dmesg", "ping", "ping6", "logger", "basename", "dirname",
    "expr", "test", "[", "kill", "killall", "pgrep", "pidof", "mount", "umount", "md5sum",
    "sha256sum", "hexdump", "gzip", "gunzip", "zcat", "tar", "vi", "id", "hostname", "uname",
    "nslookup", "traceroute", "netstat", "crond", "ntpd", "udhcpc", "syslogd", "klogd", "lock",
    "env", "find", "xargs", "mktemp", "sync", "brctl", "route", "ifconfig", "start-stop-daemon",
    "dd", "passwd", "less", "reboot", "seq", "printf", "readlink",
))
# fmt: on
PROGRAMS = {
    name: f"{folder}/{name}"
    for folder, names in {
        "/sbin": "procd netifd ubusd uci ip wifi fw4 hotplug-call logd logread sysupgrade mtd "
        "block kmodloader modprobe validate_data ubus-cli devstatus ifstatus rpcd-mod",
        "/usr/sbin": "dnsmasq hostapd wpa_supplicant dropbear uhttpd odhcpd pppd nft tc rpcd "
        "odhcp6c iw wpad ethtool miniupnpd conntrack",
        "/usr/bin": "curl uclient-fetch jsonfilter jshn lua iwinfo opkg fwtool usign ucode openssl "
        "vendor-agent mosquitto_pub",
        "/bin": "ubus opkg-key ipcalc.sh board_detect",
        "/usr/libexec": "rpcd-luci",
    }.items()
    for name in names.split()
}


def boot(device: Device) -> None:
    """From the first daemon to a working network."""
    device.start("procd", "/sbin/procd")
    modules = device.run("procd", "kmodloader /etc/modules.d/")
    for module in (
        "nf_conntrack",
        "nft_masq",
        "mac80211",
        "mt76",
        "ppp_generic",
        "pppoe",
        "usbcore",
    ):
        device.kernel(modules, "module_load", module)
    for point in ("/proc", "/sys", "/tmp", "/dev", "/dev/pts", "/rom", "/overlay", "/sys/fs/bpf"):
        device.kernel("procd", "mount", point)
    for script in (
        "boot",
        "system",
        "log",
        "dnsmasq",
        "firewall",
        "network",
        "dropbear",
        "uhttpd",
        "cron",
        "sysntpd",
        "odhcpd",
        "sysctl",
        "led",
        "miniupnpd",
        "vendor-agent",
    ):
        pid = device.run("procd", f"/bin/sh /etc/rc.common /etc/rc.d/S20{script} boot")
        device.run(pid, f"uci -q show {script}")
        device.run(pid, "ubus call service list")
    for name, line, uid in (
        ("ubusd", "/sbin/ubusd", 81),
        ("logd", "/sbin/logd -S 64", 514),
        ("rpcd", "/sbin/rpcd", 0),
        ("netifd", "/sbin/netifd", 0),
        ("crond", "/usr/sbin/crond -f -c /etc/crontabs -l 5", 0),
        ("dropbear", "/usr/sbin/dropbear -F -P /var/run/dropbear.1.pid -p 22 -K 300 -T 3", 0),
        ("uhttpd", "/usr/sbin/uhttpd -f -h /www -r OpenWrt -x /cgi-bin -p 0.0.0.0:80", 0),
        ("odhcpd", "/usr/sbin/odhcpd", 0),
        ("hostapd", ("/usr/sbin/hostapd -s -g /var/run/hostapd/global"), 0),
        (
            "dnsmasq",
            ("/usr/sbin/dnsmasq -C /var/etc/dnsmasq.conf.cfg01411c -k -x /var/run/dnsmasq.pid"),
            453,
        ),
        ("ntpd", "/usr/sbin/ntpd -n -N -S /usr/sbin/ntpd-hotplug -p 0.openwrt.pool.ntp.org", 123),
        ("miniupnpd", "/usr/sbin/miniupnpd -f /var/etc/miniupnpd.conf", 0),
        ("vendor-agent", "/usr/bin/vendor-agent -c /etc/vendor-agent.conf", 0),
    ):
        device.start(name, line, uid)
    device.start(
        "udhcpc", "udhcpc -p /var/run/udhcpc-wan.pid -s /lib/netifd/dhcp.script -f -t 0 -i wan -C"
    )
    device.start(
        "pppd", "/usr/sbin/pppd nodetach ipparam wan6 ifname pppoe-wan plugin rp-pppoe.so nic-wan"
    )
    device.kernel("dnsmasq", "uid_change", "453")
    device.kernel("ntpd", "uid_change", "123")
    for name, port, protocol in (
        ("dropbear", 22, "tcp"),
        ("uhttpd", 80, "tcp"),
        ("dnsmasq", 53, "udp"),
    ):
        device.listen(name, port, "tcp" if protocol == "tcp" else "udp")
    lease(device)
    interface_up(device)


def health(device: Device) -> None:
    """Every minute: is the device well?"""
    shell = device.run("crond", "/bin/sh -c /usr/bin/health-check.sh")
    script = device.run(shell, "/bin/sh /usr/bin/health-check.sh")
    for line in (
        "cat /proc/loadavg",
        "awk /MemAvailable/{print $2} /proc/meminfo",
        "df /overlay",
        "ubus call network.interface.wan status",
        "jsonfilter -e @.up",
        "pidof dnsmasq",
        "pidof hostapd",
        "date +%s",
        "cat /sys/class/thermal/thermal_zone0/temp",
        "grep -c dhcp /tmp/dhcp.leases",
        "ping -c 1 -W 2 192.0.2.1",
    ):
        device.run(script, line)
    device.write(script, "/tmp/health.json.new", "created")
    device.write(script, "/tmp/health.json.new")
    mover = device.run(script, "mv /tmp/health.json.new /tmp/health.json")
    device.move(mover, "/tmp/health.json.new", "/tmp/health.json")
    device.run(script, f"logger -t health load={device.random.randrange(200) / 100}")


def wireless(device: Device) -> None:
    """Every minute: the statistics of the radios."""
    script = device.run("crond", "/bin/sh -c /usr/lib/vendor/wifi-stats")
    for radio in ("phy0-ap0", "phy1-ap0"):
        device.run(script, f"iw dev {radio} station dump")
        device.run(script, f"iwinfo {radio} info")
    device.run(script, "grep -E ^(Station|signal)")
    device.run(script, "ubus call hostapd.phy0-ap0 get_clients")


def heartbeat(device: Device) -> None:
    """Every five minutes: to the cloud, and back what it wants done."""
    script = device.run("vendor-agent", "/bin/sh /usr/lib/vendor/heartbeat.sh")
    device.run(script, "cat /etc/openwrt_release")
    device.run(script, "uci -q get system.@system[0].hostname")
    device.run(script, "cut -d. -f1 /proc/uptime")
    scratch = f"/tmp/tmp.{device.word()}"
    device.run(script, "mktemp")
    device.write(script, scratch, "created", 0o600)
    remover = device.run(script, f"rm -f {scratch}")
    device.write(remover, scratch, "deleted")
    post = device.run(
        script,
        "curl -s -m 20 --cert /etc/vendor/device.pem --key /etc/vendor/device.key -H "
        "Content-Type:application/json -d @/tmp/health.json "
        f"https://cloud.vendor.example/v1/hb?uptime={int(device.now_s)}",
    )
    device.connect(post, "cloud.vendor.example", 443)
    device.run(script, "jsonfilter -i /tmp/hb.json -e @.jobs[*]")
    device.connect("vendor-agent", "mqtt.vendor.example", 8883)


def online(device: Device) -> None:
    """Every two minutes: is there an internet?"""
    script = device.run("crond", "/bin/sh -c /usr/lib/vendor/online.sh")
    fetch = device.run(
        script, "uclient-fetch -q -T 5 -O /dev/null http://connectivity.vendor.example/204"
    )
    device.connect(fetch, "connectivity.vendor.example", 80)
    device.run(script, "ip route get 192.0.2.1")
    device.run(script, "sleep 1")


def lease(device: Device) -> None:
    """udhcpc renews the address."""
    script = device.run("udhcpc", "/bin/sh /lib/netifd/dhcp.script renew")
    device.run(script, "/bin/sh /bin/ipcalc.sh 198.51.100.23 255.255.255.0")
    device.run(script, "awk -f -")
    device.run(script, 'ubus call network.interface notify_proto {"action":0,"link-up":true}')
    device.write("netifd", "/tmp/resolv.conf.d/resolv.conf.auto")
    device.say("netifd", "wan (1881): udhcpc: lease of 198.51.100.23 obtained, lease time 3600")


def interface_up(device: Device) -> None:
    """hotplug: an interface came up."""
    hotplug = device.run("netifd", "/sbin/hotplug-call iface")
    for name in ("00-netstate", "20-firewall", "25-dnsmasq", "50-miniupnpd", "95-ddns"):
        script = device.run(hotplug, f"/bin/sh /etc/hotplug.d/iface/{name}")
        device.run(script, "uci -q get network.wan.proto")
    wall = device.run(hotplug, "/sbin/fw4 -q reload")
    device.run(wall, "nft -f -")
    device.run(wall, "nft list tables inet")
    device.run(hotplug, "killall -HUP dnsmasq")
    device.say("firewall", "Reloading firewall due to ifup of wan (pppoe-wan)")


def reconnect(device: Device) -> None:
    """The provider cuts the line once a day."""
    device.say("pppd", "LCP terminated by peer")
    down = device.run("pppd", "/bin/sh /lib/netifd/ppp-down pppoe-wan")
    device.run(down, 'ubus call network.interface notify_proto {"interface":"wan"}')
    up = device.run("pppd", "/bin/sh /lib/netifd/ppp-up pppoe-wan")
    for line in (
        'ubus call network.interface notify_proto {"interface":"wan"}',
        "/bin/sh /etc/ppp/ip-up.d/50-vendor pppoe-wan",
        "ip route replace default dev pppoe-wan",
    ):
        device.run(up, line)
    device.write("netifd", "/tmp/resolv.conf.d/resolv.conf.auto")
    device.write("pppd", "/tmp/resolv.conf.ppp", "created")
    interface_up(device)
    dynamic_dns(device)


def dynamic_dns(device: Device) -> None:
    """ddns-scripts: the owner reaches home under a name of a free service."""
    script = device.run(
        "procd", "/bin/sh /usr/lib/ddns/dynamic_dns_updater.sh -v 0 -S home -- start"
    )
    for line in (
        "cat /var/run/ddns/home.pid",
        "nslookup home-of-joe.duckdns.org 127.0.0.1",
        "sed -n s/^Address//p /var/run/ddns/home.dat",
        "date +%s",
    ):
        device.run(script, line)
    fetch = device.run(
        script,
        "curl -RsS -o /var/run/ddns/home.dat --stderr "
        "/var/run/ddns/home.err "
        "https://www.duckdns.org/update?domains=home-of-joe",
    )
    device.connect(fetch, "www.duckdns.org", 443)


def clients(device: Device) -> None:
    """Phones come and go: hostapd, dnsmasq and the hotplug script of leases."""
    station = device.random.choice(["02:11:22:33:44:01", "02:11:22:33:44:02", "02:11:22:33:44:03"])
    host = device.random.choice(["phone", "tablet", "tv"])
    ip = {"phone": "192.168.1.101", "tablet": "192.168.1.102", "tv": "192.168.1.103"}[host]
    device.say("hostapd", f"phy0-ap0: STA {station} IEEE 802.11: associated (aid 1)")
    device.say("hostapd", f"phy0-ap0: STA {station} WPA: pairwise key handshake completed (RSN)")
    device.say("dnsmasq-dhcp", f"DHCPREQUEST(br-lan) {ip} {station}")
    device.say("dnsmasq-dhcp", f"DHCPACK(br-lan) {ip} {station} {host}")
    script = device.run(
        "dnsmasq", f"/bin/sh /usr/lib/dnsmasq/dhcp-script.sh old {station} {ip} {host}", uid=453
    )
    device.run(script, 'ubus call hotplug.dhcp call {"env":["ACTION=update"]}', uid=453)
    device.write("dnsmasq", "/tmp/dhcp.leases")
    for _ in range(device.random.randrange(3)):
        device.accept(ip, 53, "udp")


def names(device: Device) -> None:
    """dnsmasq asks the provider for what clients want."""
    for _ in range(device.random.randrange(1, 6)):
        device.connect("dnsmasq", "198.51.100.53", 53, "udp")
        site = device.random.choice(_SITES)
        is_fresh = device.random.random() < 0.02
        device.resolve(f"{device.word().lower()}.{site}" if is_fresh else site)


def time(device: Device) -> None:
    """ntpd polls, and tells the hotplug scripts."""
    for server in ("0.openwrt.pool.ntp.org", "1.openwrt.pool.ntp.org"):
        device.connect("ntpd", server, 123, "udp")
    script = device.run("ntpd", "/bin/sh /usr/sbin/ntpd-hotplug periodic", uid=123)
    device.run(script, "/sbin/hotplug-call ntp", uid=123)


def web_page(device: Device) -> None:
    """The owner looks at LuCI and changes the name of the radio."""
    page = device.run("uhttpd", "/usr/bin/lua /www/cgi-bin/luci")
    device.accept("192.168.1.101", 80)
    for _ in range(device.random.randrange(5, 20)):
        call = device.run("rpcd", "/bin/sh /usr/libexec/rpcd/luci call getNetworkDevices")
        device.run(call, "ip -4 neigh show")
        device.run("rpcd", "/usr/bin/ucode /usr/share/rpcd/ucode/luci")
        device.run("uhttpd", "/usr/bin/ucode /www/cgi-bin/luci-base")
    device.run(page, "ubus -S call session get {}")
    if device.random.random() < 0.3:
        for name in ("wireless", "network"):
            device.write("rpcd", f"/etc/config/{name}", "created")
            device.write("rpcd", f"/etc/config/{name}")
        radio = device.run("procd", "/sbin/wifi reload")
        device.run(radio, "ubus call network reload")
        device.run("procd", "/bin/sh /etc/rc.common /etc/init.d/network reload")


def port_mapping(device: Device) -> None:
    """A console asks miniupnpd for a port."""
    device.accept("192.168.1.103", 5000)
    device.say(
        "miniupnpd",
        "AddPortMapping: ext port 3074 to 192.168.1.103:3074 protocol UDP leased until 0",
    )


def support(device: Device) -> None:
    """The vendor's support logs in with its key and looks around."""
    port = device.random.randrange(32_768, 60_000)
    device.accept("192.0.2.77", 22)
    device.say("dropbear", f"Child connection from 192.0.2.77:{port}")
    device.say(
        "dropbear",
        f"Pubkey auth succeeded for 'root' with ssh-ed25519 key SHA256:abc from 192.0.2.77:{port}",
    )
    session = device.run(
        "dropbear", "/usr/sbin/dropbear -F -P /var/run/dropbear.1.pid -p 22 -K 300 -T 3"
    )
    shell = device.run(session, "-ash", cwd="/root")
    device.run(shell, "cat /etc/banner", cwd="/root")
    for line in (
        "logread",
        "uci show network",
        "ifstatus wan",
        "ps w",
        "df -h",
        "uptime",
        "dmesg",
        "top -b -n 1",
        "ubus call system board",
        "iwinfo",
        "ip addr",
        "cat /proc/net/nf_conntrack",
        "ping -c 3 192.0.2.1",
        "netstat -tln",
        "tail -n 50 /var/log/messages",
    ):
        device.pause(2, 25)
        device.run(shell, line, cwd="/root")
    device.say("dropbear", f"Exit (root) from <192.0.2.77:{port}>: Disconnect received")


def packages(device: Device) -> None:
    """Every night: is there something new?"""
    shell = device.run("crond", "/bin/sh -c opkg update >/dev/null 2>&1")
    opkg = device.run(shell, "opkg update")
    for feed in ("base", "luci", "packages", "routing"):
        get = device.run(
            opkg,
            f"uclient-fetch -q -O /var/opkg-lists/openwrt_{feed} "
            f"https://downloads.openwrt.example/{feed}/Packages.gz",
        )
        device.connect(get, "downloads.openwrt.example", 443)
        device.run(opkg, f"usign -V -P /etc/opkg/keys -q -x /var/opkg-lists/openwrt_{feed}.sig")
    upgrade = device.run(shell, "opkg upgrade dnsmasq vendor-agent")
    get = device.run(
        upgrade,
        "uclient-fetch -q -O /tmp/opkg-KbGLDf/dnsmasq_2.90.ipk "
        "https://downloads.openwrt.example/base/dnsmasq_2.90.ipk",
    )
    device.connect(get, "downloads.openwrt.example", 443)
    for path, mode in (
        ("/usr/sbin/dnsmasq", 0o755),
        ("/etc/init.d/dnsmasq", 0o755),
        ("/etc/hotplug.d/ntp/25-dnsmasqsec", 0o644),
        ("/usr/lib/opkg/info/dnsmasq.list", 0o644),
        ("/lib/functions/dnsmasq.sh", 0o644),
        ("/etc/config/dhcp-opkg", 0o644),
    ):
        device.write(upgrade, path, "deleted")
        device.write(upgrade, path, "created", mode)
        device.write(upgrade, path, "modified", mode)
    post = device.run(upgrade, "/bin/sh /usr/lib/opkg/info/dnsmasq.postinst configure dnsmasq")
    enable = device.run(post, "/bin/sh /etc/rc.common /etc/init.d/dnsmasq enable")
    device.run(enable, "ln -sf ../init.d/dnsmasq /etc/rc.d/S19dnsmasq")
    device.write(enable, "/etc/rc.d/S19dnsmasq", "created", 0o777)
    device.run(post, "/bin/sh /etc/rc.common /etc/init.d/dnsmasq restart")
    device.run(post, "rm -rf /tmp/opkg-KbGLDf")


def upgrade(device: Device) -> None:
    """A new firmware, up to the reboot, and the boot after it."""
    script = device.run("vendor-agent", "/bin/sh /usr/lib/vendor/upgrade.sh 23.05.6")
    get = device.run(
        script,
        "curl -s -f --cacert /etc/vendor/ca.pem -o /tmp/firmware.bin "
        "https://fw.vendor.example/23.05.6.bin",
    )
    device.connect(get, "fw.vendor.example", 443)
    device.write(get, "/tmp/firmware.bin", "created")
    device.write(get, "/tmp/firmware.bin")
    for line in ("sha256sum /tmp/firmware.bin", "usign -V -m /tmp/firmware.bin -P /etc/opkg/keys"):
        device.run(script, line)
    flash = device.run(script, "/bin/sh /sbin/sysupgrade -v /tmp/firmware.bin")
    for line in (
        "fwtool -q -i /tmp/sysupgrade.meta /tmp/firmware.bin",
        "dd if=/tmp/firmware.bin bs=4 count=1",
        "hexdump -v -n 4 -e 1/1 %02x",
        ('ubus call system validate_firmware_image {"path":"/tmp/firmware.bin"}'),
        "tar c -z -f /tmp/sysupgrade.tgz -T /tmp/sysupgrade.conffiles",
        "sync",
        ('ubus call system sysupgrade {"prefix":"/tmp/root","path":"/tmp/firmware.bin"}'),
    ):
        device.run(flash, line)
    device.write(flash, "/tmp/sysupgrade.tgz", "created", 0o600)
    boot(device)


def storage(device: Device) -> None:
    """A USB stick is put in and taken out."""
    call = device.run("procd", "/sbin/hotplug-call block")
    mount = device.run(call, "block hotplug")
    device.kernel(mount, "mount", "/mnt/sda1")
    device.kernel(mount, "umount", "/mnt/sda1")


_SITES = (
    "www.search.example",
    "video.example",
    "cdn.video.example",
    "mail.example",
    "news.example",
    "social.example",
    "img.social.example",
    "api.weather.example",
    "play.game.example",
    "time.phone.example",
    "push.phone.example",
    "update.tv.example",
    "ads.example",
    "shop.example",
)

TASKS = [
    Task(health, 60, 70, 0),
    Task(wireless, 60, 75, 0),
    Task(online, 120),
    Task(heartbeat, 300),
    Task(lease, 1800),
    Task(clients, 240, jitter=0.9),
    Task(names, 20, jitter=0.9),
    Task(time, 1024),
    Task(reconnect, 0, 14_500),
    Task(dynamic_dns, 600),
    Task(web_page, 0, 66_000),
    Task(web_page, 0, 71_000),
    Task(port_mapping, 7200, jitter=0.9),
    Task(support, 0, 33_000),
    Task(support, 0, 52_000),
    Task(packages, 0, 11_000),
    Task(upgrade, 0, 12_600),
    Task(storage, 0, 68_000),
]
