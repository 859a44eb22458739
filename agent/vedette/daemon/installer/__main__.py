"""`python -m vedette.daemon.installer`: the installer, without what it never uses."""

from __future__ import annotations

import sys

from vedette.daemon.installer import lean_tuf

if __name__ == "__main__":
    lean_tuf.leave_out_http()
    from vedette.daemon.installer.process import main

    sys.exit(main(sys.argv[1:]))
