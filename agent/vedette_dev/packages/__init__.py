"""Builds the Debian packages: `python -m vedette_dev deb`; what goes into them is in packaging/."""
