# Packages of Python in a folder of their own, as the .deb has them: what else is installed on the
# device cannot take the place of ours; what is compiled comes from the distribution.
#
# A recipe sets VEDETTE_CARRIED to a folder of packages to carry along, VEDETTE_AGENT to the import
# package, and calls vedette_site_packages_install in its do_install.
inherit python3-dir python3native

VEDETTE_HOME = "${nonarch_libdir}/vedette"
VEDETTE_PACKAGES = "${VEDETTE_HOME}/lib/${PYTHON_DIR}/site-packages"
VEDETTE_AGENT ?= "${S}/agent/vedette"
VEDETTE_CARRIED ?= "${S}/site-packages"

vedette_site_packages_install() {
    install -d ${D}${VEDETTE_PACKAGES} ${D}${VEDETTE_HOME}/bin
    cp -R --no-dereference --preserve=mode ${VEDETTE_AGENT} ${D}${VEDETTE_PACKAGES}/
    cp -R --no-dereference --preserve=mode ${VEDETTE_CARRIED}/. ${D}${VEDETTE_PACKAGES}/
    ln -s ../../../bin/python3 ${D}${VEDETTE_HOME}/bin/python3
    printf 'home = %s\ninclude-system-site-packages = true\nversion = %s\n' \
        "${bindir}" "${PYTHON_BASEVERSION}" > ${D}${VEDETTE_HOME}/pyvenv.cfg
    # Bytecode that says where it lies on the device, and does not ask for the time of its source:
    # a read-only image cannot write it later.
    ${PYTHON} -m compileall -q -s ${D} -p / --invalidation-mode unchecked-hash \
        ${D}${VEDETTE_PACKAGES}
}

FILES:${PN} += "${VEDETTE_HOME}"
