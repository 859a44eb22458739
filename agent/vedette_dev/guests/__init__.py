"""One device in QEMU: started by its real boot loader, spoken to as root, ended by its pid."""

from vedette_dev.guests.guest import Guest
from vedette_dev.guests.root_shell import Ended
from vedette_dev.guests.settings import GuestSettings
from vedette_dev.guests.standstill import StandsStillError

__all__ = ["Ended", "Guest", "GuestSettings", "StandsStillError"]
