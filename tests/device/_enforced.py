"""What has a device enforce: rules and playbooks of one run, signed on the host."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from vedette.codec import bundle as bundle_codec
from vedette.codec import dsse
from vedette_dev import identity
from vedette_dev.device import in_guest
from vedette_dev.device.site import Site
from vedette_dev.enforcement import narrowed, playbooks_for, sealed_sets, with_twins


def prepared(site: Site) -> Path:
    """A folder for the tests' disk: rules narrowed to the run's word, playbooks for each."""
    folder = site.folder / "prepared"
    folder.mkdir()
    word = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(8))
    bundle = bundle_codec.decode(dsse.decode(site.bundle.read_bytes()).payload)
    wanted = with_twins(narrowed(bundle, word), word)
    keys = [identity.signer(site.desk.keys / f"{name}.key") for name in ("rules", "playbooks")]
    made = sealed_sets(wanted, playbooks_for(wanted), int(time.time()), *keys, is_promoted=True)
    (folder / in_guest.BUNDLE).write_bytes(made.bundle)
    (folder / in_guest.PLAYBOOKS).write_bytes(made.playbooks)
    (folder / in_guest.WORD).write_text(word)
    return folder
