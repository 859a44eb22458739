"""Disks for QEMU: root file systems of Debian packages, kernels, boot scripts, A/B partitions.

What goes into them lies in qemu-images/; which guests they become, in vedette_dev.guests.
"""

from vedette_dev.images.build import Image, Loader, built, check, export
from vedette_dev.images.layout import Layout, Partition
from vedette_dev.images.target import ARCHES, Arch, Target, target

__all__ = [
    "ARCHES",
    "Arch",
    "Image",
    "Layout",
    "Loader",
    "Partition",
    "Target",
    "built",
    "check",
    "export",
    "target",
]
