"""What sensors and responses both ask of the kernel; no decision is made here."""
