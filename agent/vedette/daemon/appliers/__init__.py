"""How releases are applied on a device: one file for each kind, in the installer alone."""
