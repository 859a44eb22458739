"""What an enrolment writes, and in which order.

Rule 1: all of it is verified before anything is written; what is there already is not written.
Rule 2: each file is replaced whole (store/durable.py), and `enrolled.toml`, which names the others,
comes last: after a power cut at any moment the device starts, and the same command finishes.
Rule 3: a broker that wants a certificate is not connected to before there is one: `enabled` is
false until then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from vedette.cli import _enroll_check, _enroll_tls
from vedette.cli._enroll_offer import Brought, Offer
from vedette.codec import key_pem
from vedette.codec.dsse import MAX_ENVELOPE_BYTES
from vedette.daemon import config as configuration
from vedette.daemon import device_key, enrolled, enrolment, folders, privileges
from vedette.daemon.build import BUILD_S
from vedette.daemon.config import Config
from vedette.daemon.uplink_options import Uplink, is_loopback
from vedette.errors import DeviceError, RequestError, VedetteError
from vedette.store import durable
from vedette.trust.keyfile import key_id

FOLDER = "enroll.d"
TLS = "tls"
PUBLIC_KEY = "device.pub"

_FOR_ALL, _FOR_ROOT, _FOR_UPLINK = 0o644, 0o600, 0o640


class Written(NamedTuple):
    """One file: "written", "unchanged", or "removed" where it was brought in a folder of ours."""

    path: Path
    action: str


class Result(NamedTuple):
    """What the device is now.

    Attributes:
        is_new_key: the signing key was made now.
        certificate: "installed", "self-signed", "requested", "none", or "" without a broker.
        request: the certificate signing request, PEM; b"" where none is wanted.
        fingerprint: SHA-256 of the certificate in hex, or "".
        missing: what the device still lacks, one line each.
    """

    config: Config
    public_key: bytes
    is_new_key: bool
    files: tuple[Written, ...]
    certificate: str
    request: bytes
    fingerprint: str
    missing: tuple[str, ...]

    @property
    def key_id(self) -> str:
        """The fingerprint of the signing key."""
        return key_id(self.public_key)


class Plan:
    """One enrolment: `check`, then `carry_out`.

    Args:
        config_path: of the configuration; what is written about the device lies beside it.
        client_auth: "csr", "self-signed", "none", or None for what the device has already.
        is_new_key: the signing key is replaced.

    Attributes:
        folder: where files to enroll from are looked for.

    Raises:
        ConfigError: the configuration cannot be used.
    """

    def __init__(self, config_path: Path, *, client_auth: str | None, is_new_key: bool) -> None:
        self._path = config_path
        self.folder = config_path.parent / FOLDER
        self._tls = config_path.parent / TLS
        self._config = configuration.load(config_path)
        _, given = configuration.read_enrolled(configuration.enrolled_file(config_path))
        self._tables = {name: dict(given.get(name, {})) for name in enrolled.KEYS}
        self._client_auth, self._is_new_key = client_auth, is_new_key
        self._files: Mapping[str, Brought] = {}
        self._spent: tuple[Path, ...] = ()
        self._written: list[Written] = []

    def check(self, offer: Offer) -> None:
        """Verify all that is brought.

        Raises:
            RequestError: something may not be used; one line for each mistake.
        """
        self._files, self._spent = offer.files, offer.spent
        for (table, key), value in offer.words.items():
            self._tables[table][key] = list(value) if isinstance(value, tuple) else value
        mistakes: list[str] = []
        for check in (self._check_signed, self._check_release_root, self._check_tls):
            _gather(check, mistakes)
        _gather(self._check_name, mistakes)
        if mistakes:
            raise RequestError("\n".join(mistakes))

    def carry_out(self) -> Result:
        """Write it; when this returns it is on the disk.

        Raises:
            TrustError: the signing key is not what it should be.
            DeviceError: the disk did not take it, or the agent runs and may not.
        """
        public_key, is_new = self._make_identity()
        if self._tables["uplink"].get("host"):  # its readers know it by this name from now on
            self._tables["device"].setdefault("id", self._config.device.id)
        certificate, request = self._make_tls()
        paths = self._config
        for flag, target, mode in (
            ("trust", paths.rules.trust, _FOR_ALL),
            ("root", paths.updates.root, _FOR_ALL),
            ("rules", paths.rules.bundle, _FOR_ROOT),
            ("playbooks", paths.response.playbooks, _FOR_ROOT),
            ("profile", paths.rules.profile, _FOR_ROOT),
        ):
            if flag in self._files:
                self._write(Path(target), self._files[flag].data, mode)
        self._write(self._path.parent / PUBLIC_KEY, key_pem.encode_public(public_key), _FOR_ALL)
        text = enrolled.render(self._tables)
        self._write(configuration.enrolled_file(self._path), text.encode(), _FOR_ALL)
        for path in self._spent:
            durable.remove(path)
            self._written.append(Written(path, "removed"))
        return self._result(public_key, is_new, certificate, request)

    def _check_signed(self) -> None:
        document = _enroll_check.trust(self._files.get("trust"), Path(self._config.rules.trust))
        mistakes: list[str] = []
        for flag, target in (
            ("rules", self._config.rules.bundle),
            ("playbooks", self._config.response.playbooks),
            ("profile", self._config.rules.profile),
        ):
            brought = self._files.get(flag)
            if brought is not None and not target:
                mistakes.append(f'{brought.path}: {self._path} has {flag} = "": mend that first')
            elif brought is not None:
                check = partial(_enroll_check.content, flag, brought, document, _now())
                _gather(check, mistakes)
        if mistakes:
            raise RequestError("\n".join(mistakes))

    def _check_release_root(self) -> None:
        if "root" in self._files:
            _enroll_check.release_root(self._files["root"])

    def _check_name(self) -> None:
        """A device that is known by a name keeps it: its registry, topics and journal have it."""
        _, given = configuration.read_enrolled(configuration.enrolled_file(self._path))
        if not given.get("device", {}).get("id"):
            return
        for word, key, before in (
            ("device", "id", self._config.device.id),
            ("tenant", "tenant", self._config.device.tenant),
        ):
            now = self._tables["device"].get(key, before)
            if now != before:
                raise RequestError(
                    f"--{word}: this device is enrolled as {before}, not {now}: its readers know "
                    f"it by that name. To rename it: remove {key} from "
                    f"{configuration.enrolled_file(self._path)}, enroll again, and give the fleet "
                    "its new name"
                )

    def _check_tls(self) -> None:
        brought, uplink = self._files, self._config.uplink
        if "ca" in brought:
            _enroll_check.authority(brought["ca"])
        host = str(self._tables["uplink"].get("host", uplink.host))
        if host and os.geteuid() == 0:
            self._uplink_group()
        if host and "ca" not in brought and not uplink.ca and not is_loopback(host):
            raise RequestError(
                f"--broker {host}: expected --ca FILE beside it: who signs its certificate"
            )
        if "certificate" in brought:
            given = brought["certificate"]
            key = durable.read(self._tls / "device.key", key_pem.MAX_FILE_BYTES)
            if key is None:
                raise RequestError(
                    f"{given.path}: there is no key on this device that it could be for: enroll "
                    "with --broker first, and have device.csr signed"
                )
            _enroll_tls.require_for(given.data, key, str(given.path))

    def _make_identity(self) -> tuple[bytes, bool]:
        path, state = Path(self._config.identity.key), Path(self._config.paths.state)
        if path.exists() and not self._is_new_key:
            signer, is_new = device_key.made_once(path, state)
            return signer.public_key, is_new
        # No sentinel may start or run meanwhile: it makes a key, too, or goes on with the old one.
        folders.prepare(str(state), "[paths] state")
        held = folders.hold(state)
        try:
            if self._is_new_key:
                signer, is_new = device_key.replaced(path), True
            else:
                signer, is_new = device_key.made_once(path, state)
        finally:
            os.close(held)
        self._written.append(Written(path, "written" if is_new else "unchanged"))
        return signer.public_key, is_new

    def _make_tls(self) -> tuple[str, bytes]:
        uplink = self._tables["uplink"]
        if not uplink.get("host"):
            return "", b""
        place = self._config.uplink
        if "ca" in self._files:
            uplink["ca"] = str(self._tls / "ca.pem")
            self._prepare_tls()
            self._write(self._tls / "ca.pem", self._files["ca"].data, _FOR_ALL)
        wanted = self._client_auth or ("none" if _is_open(uplink, place) else "csr")
        if wanted == "none":
            for key in ("certificate", "key", "enabled"):
                uplink.pop(key, None)
            return "none", b""
        self._prepare_tls()
        return self._make_certificate(uplink, wanted)

    def _make_certificate(self, uplink: dict[str, object], wanted: str) -> tuple[str, bytes]:
        key_path, path = self._tls / "device.key", self._tls / "device.pem"
        key = durable.read(key_path, key_pem.MAX_FILE_BYTES)
        if key is None:
            key = _enroll_tls.make_key()
            self._write(key_path, key, _FOR_UPLINK)
        names = self._names()
        request = durable.read(self._tls / "device.csr", MAX_ENVELOPE_BYTES)
        if request is None or not _enroll_tls.is_request_of(request, key, names):
            request = _enroll_tls.request(key, names)
        self._write(self._tls / "device.csr", request, _FOR_ALL)
        found = durable.read(path, MAX_ENVELOPE_BYTES)
        if "certificate" in self._files:
            found = self._files["certificate"].data
        elif found is None and wanted == "self-signed":
            found = _enroll_tls.self_signed(key, names, _now())
        if found is None:
            uplink["enabled"] = False
            return "requested", request
        self._write(path, found, _FOR_ALL)
        uplink.pop("enabled", None)
        uplink.update(certificate=str(path), key=str(key_path))
        is_own = _enroll_tls.is_self_signed(found, str(path))
        return "self-signed" if is_own else "installed", request

    def _names(self) -> _enroll_tls.Names:
        device = self._tables["device"]
        return _enroll_tls.Names(
            str(device.get("tenant", self._config.device.tenant)),
            str(device.get("id", self._config.device.id)),
        )

    def _prepare_tls(self) -> None:
        """The uplink's user may read here, and nobody but root may write."""
        try:
            durable.make_missing(self._tls, 0o750)
            if os.geteuid() == 0:
                os.chown(self._tls, 0, self._uplink_group())
                self._tls.chmod(0o750)
        except OSError as error:
            raise DeviceError(f"{self._tls}: cannot be made: {error.strerror}") from error

    def _uplink_group(self) -> int:
        return privileges.account(self._config.uplink.user)[1]

    def _write(self, path: Path, data: bytes, mode: int) -> None:
        owner = None
        if os.geteuid() == 0:
            owner = (0, self._uplink_group() if mode == _FOR_UPLINK else 0)
        if durable.read(path, MAX_ENVELOPE_BYTES) == data and _is_as(path, mode, owner):
            self._written.append(Written(path, "unchanged"))
            return
        durable.write_for(path, data, mode=mode, owner=owner)
        self._written.append(Written(path, "written"))

    def _result(self, public_key: bytes, is_new: bool, certificate: str, request: bytes) -> Result:  # noqa: FBT001
        config = configuration.load(self._path)
        pem = durable.read(self._tls / "device.pem", MAX_ENVELOPE_BYTES) or b""
        is_used = certificate in {"installed", "self-signed"}
        return Result(
            config, public_key, is_new, tuple(self._written), certificate, request,
            _enroll_tls.fingerprint(pem, "device.pem") if is_used else "",
            tuple(enrolment.missing(config)),
        )  # fmt: skip


def _is_open(given: Mapping[str, object], before: Uplink) -> bool:
    """Whether this broker was enrolled with as one that asks for no certificate."""
    was_enrolled = given.get("host") == before.host and before.enabled
    return was_enrolled and not before.certificate


def _is_as(path: Path, mode: int, owner: tuple[int, int] | None) -> bool:
    found = path.stat()
    is_owned = owner is None or (found.st_uid, found.st_gid) == owner
    return found.st_mode & 0o7777 == mode and is_owned


def _gather(check: Callable[[], None], mistakes: list[str]) -> None:
    try:
        check()
    except VedetteError as error:
        mistakes.append(str(error))


def _now() -> float:
    return max(float(BUILD_S), time.time())
