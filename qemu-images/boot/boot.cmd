# U-Boot's script of the QEMU devices; vedette_dev.images fills in what stands between @ and @.
setenv slots_if virtio
setenv slots_dev 0
setenv slots_part @ENVIRONMENT_PART@
setenv slots_second_default @SECOND_COPY@

@SLOTS@

setenv root_part @PART_A@
if test "${start}" = "b"; then setenv root_part @PART_B@; fi
@RAMDISK@
setenv bootargs root=PARTLABEL=rootfs-${start} slot=${start} ro quiet panic=5 net.ifnames=0 console=@CONSOLE@
echo "vedette: starting slot ${start}, tries ${tries}"
if load ${slots_if} ${slots_dev}:${root_part} ${kernel_addr_r} /boot/vmlinuz; then
  setenv kernel_bytes 0x${filesize}
  if load ${slots_if} ${slots_dev}:${root_part} ${ramdisk_addr_r} /boot/initrd.img; then
    setenv ramdisk_bytes 0x${filesize}
    @START@
  fi
fi
echo "vedette: slot ${start} cannot be started"
reset
