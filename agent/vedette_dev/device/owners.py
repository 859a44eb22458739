"""What an image says of itself that the files of a data partition go by."""

from __future__ import annotations

from vedette.errors import DeviceError
from vedette_dev.device import ext4
from vedette_dev.device.site import Owners
from vedette_dev.images import Image

_GROUP = "vedette-uplink"
_BUILD = "/usr/lib/vedette/build"


def owners_of(image: Image) -> Owners:
    """Of an image.

    Raises:
        DeviceError: the agent is not in it.
    """
    rows = (line.split(":") for line in ext4.read(image.slot_image, "/etc/group").splitlines())
    numbers = {row[0]: int(row[2]) for row in rows if len(row) > 2 and row[2].isdecimal()}  # noqa: PLR2004
    if _GROUP not in numbers:
        raise DeviceError(f"{image.slot_image}: expected a group {_GROUP}: is our .deb in it?")
    return Owners(numbers[_GROUP], ext4.read(image.slot_image, _BUILD))
