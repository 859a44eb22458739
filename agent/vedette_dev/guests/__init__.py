"""One device in QEMU: started by its real boot loader, spoken to as root, ended by its pid."""

from vedette_dev.guests.guest import Guest, GuestSettings, StandsStillError
from vedette_dev.guests.root_shell import Ended

__all__ = ["Ended", "Guest", "GuestSettings", "StandsStillError"]
