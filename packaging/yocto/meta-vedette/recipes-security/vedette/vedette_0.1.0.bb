SUMMARY = "On-device security agent for Linux IoT devices"
DESCRIPTION = "Watches processes, files, connections and the kernel of a router or camera, matches \
what it sees against signed Sigma rules, contains attacks by signed playbooks, sends signed \
incidents over MQTT, and applies signed releases of rules, firmware and models."
HOMEPAGE = "https://vedette.example.org"
SECTION = "admin"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# Written by `make firmware-source`; put it beside this file, into files/.
SRC_URI = "file://vedette-${PV}.tar.gz"
UNPACKDIR ??= "${WORKDIR}"
S = "${UNPACKDIR}/vedette-${PV}"
CVE_PRODUCT = "vedette"

inherit allarch features_check systemd useradd vedette_site_packages

REQUIRED_DISTRO_FEATURES = "systemd"

SYSTEMD_SERVICE:${PN} = "vedette.service"

USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system vedette-uplink; --system vedette-update; --system vedette-worker"
USERADD_PARAM:${PN} = "\
    --system --no-create-home --shell /sbin/nologin --gid vedette-uplink vedette-uplink; \
    --system --no-create-home --shell /sbin/nologin --gid vedette-update vedette-update; \
    --system --no-create-home --shell /sbin/nologin --gid vedette-worker vedette-worker \
"

FILES:${PN} += "${systemd_unitdir} ${nonarch_libdir}/tmpfiles.d"
CONFFILES:${PN} = "${sysconfdir}/vedette/vedette.toml"

RDEPENDS:${PN} = "\
    python3-asyncio \
    python3-compression \
    python3-core \
    python3-crypt \
    python3-cryptography \
    python3-ctypes \
    python3-datetime \
    python3-email \
    python3-json \
    python3-logging \
    python3-msgpack \
    python3-netclient \
    python3-psutil \
    python3-resource \
    python3-sqlite3 \
    python3-threading \
    python3-tomllib \
"
RRECOMMENDS:${PN} = "\
    ca-certificates \
    kernel-module-nf-conntrack-netlink \
    libbpf \
"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    vedette_site_packages_install
    install -D -m 0755 ${S}/packaging/debian/vedette.sh ${D}${bindir}/vedette
    install -D -m 0644 ${S}/packaging/vedette.toml ${D}${sysconfdir}/vedette/vedette.toml
    install -d ${D}${systemd_system_unitdir}
    install -m 0644 ${S}/packaging/systemd/*.service ${S}/packaging/systemd/*.path \
        ${D}${systemd_system_unitdir}/
    install -D -m 0755 ${S}/packaging/systemd/generator \
        ${D}${systemd_unitdir}/system-generators/vedette
    install -D -m 0644 ${S}/packaging/systemd/tmpfiles.conf \
        ${D}${nonarch_libdir}/tmpfiles.d/vedette.conf
}
