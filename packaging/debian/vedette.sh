#!/bin/sh
# The command `vedette`, by the Python of its own packages (/usr/lib/vedette/pyvenv.cfg).
set -eu
exec /usr/lib/vedette/bin/python3 -I -m vedette.cli "$@"
