"""A root key in a PKCS#11 token beside one in a file: SoftHSM plays the token."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata

PIN = "1234567890"
MODULES = (Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib64/pkcs11/libsofthsm2.so"))


class Desk:
    """An operator with a token; every command is a process of its own, as PKCS#11 wants it."""

    def __init__(self, folder: Path, module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.module = folder, module
        tokens = folder / "tokens"
        tokens.mkdir()
        config = folder / "softhsm2.conf"
        config.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
        monkeypatch.setenv("SOFTHSM2_CONF", str(config))
        self.pin = folder / "pin"
        self.set_pin(PIN)
        self._call("softhsm2-util", "--init-token", "--free", "--label", "vedette", "--pin", PIN,
                   "--so-pin", PIN)  # fmt: skip
        self._call("pkcs11-tool", "--module", str(module), "--token-label", "vedette", "--login",
                   "--pin", PIN, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "02",
                   "--label", "root")  # fmt: skip

    def set_pin(self, pin: str) -> None:
        self.pin.write_text(pin + "\n")
        self.pin.chmod(0o600)

    def vedette(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "vedette.cli", *words, "--keys", str(self.folder / "keys")]
        return subprocess.run(
            [*command, "--password-file", str(self.pin)],
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def _call(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    module = next((path for path in MODULES if path.exists()), None)
    lacking = [name for name in ("softhsm2-util", "pkcs11-tool") if shutil.which(name) is None]
    if module is None or lacking:
        pytest.skip("needs softhsm2 and opensc: apt-get install softhsm2 opensc")
    if importlib.util.find_spec("pkcs11") is None:
        pytest.skip("needs python-pkcs11: pip install 'vedette[hsm]'")
    return Desk(tmp_path, module, monkeypatch)


def test_a_token_signs_the_root_and_its_pin_is_asked_for(desk: Desk) -> None:
    made = desk.vedette(
        "keys", "create", "hardware", "--token", "vedette", "--module", str(desk.module), "--id",
        "2",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert PIN not in (desk.folder / "keys" / "hardware.token").read_text()
    repository = str(desk.folder / "repository")
    started = desk.vedette(
        "repo", "init", "--repo", repository, "--create-keys", "--no-password", "--role",
        "root=root,hardware:2",
    )  # fmt: skip
    assert started.returncode == 0, started.stderr
    root = Metadata[Any].from_file(f"{repository}/public/metadata/1.root.json")
    root.verify_delegate("root", root)
    assert len(root.signatures) == 2
    assert "ecdsa-sha2-nistp256" in {key.scheme for key in root.signed.keys.values()}


def test_a_token_or_pin_that_is_wrong_is_said_so(desk: Desk) -> None:
    words = ("keys", "create", "hardware", "--module", str(desk.module))
    missing = desk.vedette(*words, "--token", "other", "--id", "2")
    assert (missing.returncode, "other" in missing.stderr) == (2, True)
    no_key = desk.vedette(*words, "--token", "vedette", "--id", "7")
    assert (no_key.returncode, "could not find" in no_key.stderr) == (2, True)
    assert desk.vedette(*words, "--token", "vedette", "--id", "2").returncode == 0
    desk.set_pin("0000000000")
    refused = desk.vedette("repo", "init", "--repo", str(desk.folder / "r"), "--create-keys",
                           "--no-password", "--role", "root=root,hardware:2")  # fmt: skip
    assert refused.returncode == 2
    assert "key hardware cannot sign: PinIncorrect" in refused.stderr
    assert "0000000000" not in refused.stderr + refused.stdout
