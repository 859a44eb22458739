#!/usr/bin/env bash
# Sets a machine up for the Makefile: `setup.sh venv DIR | programs broker|attacks|atomic|images|tests | ebpf DIR`.
#
# Rule 1: as root on Debian what is missing is installed through apt; anybody else is told, in one
# line, what to install. Rule 2: whatever takes longer than two seconds shows progress.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

# One line that moves: the newest line of a long command, cut to 72 columns; whole lines in a log.
progress() {
    local what=$1 line
    if [[ -t 2 ]]; then
        while IFS= read -r line; do printf '\r\033[K%s: %.60s' "$what" "$line" >&2; done
        printf '\r\033[K' >&2
    else
        local count=0
        while IFS= read -r line; do
            count=$((count + 1))
            ((count % 25)) || say "$what: $line"
        done
    fi
}

# Installs Debian packages, or says which are missing; "optional" never fails.
install_packages() {
    local need=$1
    shift
    (($# == 0)) && return 0
    if ((EUID == 0)) && command -v apt-get >/dev/null; then
        say "installing $* (apt)"
        if { apt-get install -y --no-install-recommends "$@" ||
            { apt-get update && apt-get install -y --no-install-recommends "$@"; }; } \
            </dev/null 2>&1 | progress apt; then
            return 0
        fi
        say "apt could not install $*: run 'apt-get install $*' to see why"
    else
        say "missing: $*. Install with: sudo apt-get install $*"
    fi
    [[ $need == optional ]]
}

# Prints the packages that have no command here; arguments are command:package.
missing() {
    local pair path="$PATH:/usr/sbin:/sbin:/usr/local/sbin"
    for pair in "$@"; do
        PATH=$path command -v "${pair%%:*}" >/dev/null || printf '%s\n' "${pair#*:}"
    done
}

programs() {
    local lacking
    case $1 in
    broker)
        mapfile -t lacking < <(missing mosquitto:mosquitto)
        install_packages required "${lacking[@]}"
        ;;
    attacks)
        mapfile -t lacking < <(missing busybox:busybox-static)
        install_packages required "${lacking[@]}"
        ;;
    atomic)
        mapfile -t lacking < <(missing mosquitto:mosquitto)
        install_packages required "${lacking[@]}"
        mapfile -t lacking < <(missing mmdebstrap:mmdebstrap)
        install_packages optional "${lacking[@]}" || true
        ;;
    images)
        mapfile -t lacking < <(missing mmdebstrap:mmdebstrap arch-test:arch-test zstd:zstd \
            sfdisk:fdisk mkfs.vfat:dosfstools mcopy:mtools mke2fs:e2fsprogs depmod:kmod \
            qemu-aarch64-static:qemu-user-static update-binfmts:binfmt-support \
            qemu-system-aarch64:qemu-system-arm qemu-system-x86_64:qemu-system-x86 \
            socat:socat fw_printenv:libubootenv-tool grub-mkimage:grub-common)
        [[ -e /usr/lib/grub/i386-pc/boot.img ]] || lacking+=(grub-pc-bin)
        [[ -e /usr/lib/u-boot/qemu_arm64/u-boot.bin ]] || lacking+=(u-boot-qemu)
        install_packages required "${lacking[@]}"
        ;;
    tests)
        mapfile -t lacking < <(missing mosquitto:mosquitto busybox:busybox-static nft:nftables \
            fw_setenv:libubootenv-tool mkenvimage:u-boot-tools grub-editenv:grub-common rauc:rauc \
            dbus-daemon:dbus mksquashfs:squashfs-tools openssl:openssl losetup:mount \
            gcc:gcc setpriv:util-linux ip:iproute2 softhsm2-util:softhsm2 pkcs11-tool:opensc \
            lintian:lintian mmdebstrap:mmdebstrap nsenter:util-linux shellcheck:shellcheck make:make)
        install_packages optional "${lacking[@]}" || true
        ;;
    *)
        say "expected broker, attacks, atomic, images or tests, got $1"
        return 2
        ;;
    esac
}

# Makes the virtual environment from the pinned, hashed requirements.
venv() {
    local dir=$1 python=${PYTHON:-python3}
    command -v "$python" >/dev/null || { say "missing: $python. Install with: sudo apt-get install python3"; return 1; }
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
        say "expected Python 3.11 to 3.13, got $("$python" --version). Try: make PYTHON=python3.11 …"
        return 1
    }
    if [[ -e $dir && ! -w $dir ]]; then
        say "$dir belongs to $(stat -c %U "$dir") and is out of date: remove it, or work in a clone of your own"
        return 1
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        install_packages required "python3-venv"
    say "making $dir from requirements.txt (about a minute the first time)"
    "$python" -m venv "$dir"
    local pip=("$dir/bin/python" -m pip --disable-pip-version-check --no-input)
    "${pip[@]}" install --progress-bar off --require-hashes -r requirements.txt \
        > >(progress pip) 2>"$dir/pip.log" ||
        { say "pip failed; the end of $dir/pip.log:"; tail -n 5 "$dir/pip.log" >&2; return 1; }
    "${pip[@]}" install --quiet --no-deps --no-build-isolation -e . 2>>"$dir/pip.log" ||
        { say "the editable install failed; the end of $dir/pip.log:"; tail -n 5 "$dir/pip.log" >&2; return 1; }
    touch "$dir/ready"
    say "$dir is ready: $("$dir/bin/python" --version)"
}

# Compiles the kernel's programs where they are older than their sources. Never fails: without
# them the agent uses the next tier, and `vedette doctor` says so.
ebpf() {
    local dir=$1 lacking object=$1/watch.bpf.o
    [[ -n $(find "$dir" -name '*.[ch]' -newer "$object" 2>/dev/null) || ! -e $object ]] || return 0
    mapfile -t lacking < <(missing clang:clang llvm-strip:llvm)
    [[ -e /usr/include/bpf/bpf_core_read.h ]] || lacking+=(libbpf-dev)
    if ((${#lacking[@]} && EUID)); then
        say "the eBPF programs are not compiled, audit is used: sudo apt-get install ${lacking[*]} && make ebpf"
        return 0
    fi
    install_packages required "${lacking[@]}" || { say "going on without eBPF: audit is used"; return 0; }
    clang -g -O2 -Wall -Wextra -Werror -Wno-unused-parameter -mcpu=v2 -target bpfel \
        -I"/usr/include/$(uname -m)-linux-gnu" -c "$dir/watch.bpf.c" -o "$object.new" &&
        llvm-strip -g "$object.new" && mv "$object.new" "$object" ||
        say "the eBPF programs were not compiled: audit is used"
}

case ${1:-} in
ebpf) ebpf "$2" ;;
venv) venv "$2" ;;
programs) programs "$2" ;;
*)
    say "usage: setup.sh venv DIR | setup.sh programs broker|attacks|atomic|images|tests | setup.sh ebpf DIR"
    exit 2
    ;;
esac
