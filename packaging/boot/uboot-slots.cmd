# Which slot U-Boot starts, as agent/vedette/slots/uboot.py (style "copies") arms it.
#
# Stock U-Boot is enough: no saveenv, bootcount or setexpr. Two plain copies of an environment of
# 0x1000 bytes (CRC-32, no flag byte) lie at the start of a partition of their own; set before:
#   slots_if, slots_dev   interface and device, such as "virtio" and "0"
#   slots_part            number of that partition
# Sets `start` to a or b. Continue with, for example:
#   setenv bootargs root=PARTLABEL=rootfs-${start} slot=${start} ro panic=10
# A kernel that hangs needs a watchdog. A try that cannot be counted is not made: it would be made for
# ever. The images of vedette_dev run this script by a real U-Boot (qemu-images/boot/boot.cmd).
setenv ea ${loadaddr}
part start ${slots_if} ${slots_dev} ${slots_part} slots_first
setexpr slots_second ${slots_first} + 8 || setenv slots_second ${slots_second_default}
setenv bslot a; setenv tslot; setenv tries; setenv rolledback
${slots_if} read ${ea} 0x${slots_first} 0x8
if env import -c ${ea} 0x1000 bslot tslot tries rolledback; then true; else
  ${slots_if} read ${ea} 0x${slots_second} 0x8
  env import -c ${ea} 0x1000 bslot tslot tries rolledback
fi
setenv start ${bslot}
if test -n "${tslot}"; then
  if test "${tries}" = "3"; then setenv tries 2; setenv start ${tslot};
  elif test "${tries}" = "2"; then setenv tries 1; setenv start ${tslot};
  elif test "${tries}" = "1"; then setenv tries 0; setenv start ${tslot};
  else setenv tslot; setenv tries; setenv rolledback 1; fi
  env export -c -s 0x1000 ${ea} bslot tslot tries rolledback
  ${slots_if} write ${ea} 0x${slots_second} 0x8
  if ${slots_if} write ${ea} 0x${slots_first} 0x8; then true; else
    setenv start ${bslot}
  fi
fi
