"""`vedette enroll`: all of it or nothing, again without harm, and never another identity."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.simulators.failing_disk import FailingDisk
from tests.system._site import Site, rule

from vedette.cli import _command_line as cli
from vedette.codec import key_pem
from vedette.daemon import config as configuration
from vedette.daemon import folders
from vedette.model.rule import Match
from vedette.store import durable
from vedette.trust.keyfile import key_id, load_signer
from vedette_dev.certificates import Authority

UPLINK_UID = 61874
SHELL = rule("one", "process_creation", Match("Image", "endswith", "/sh", is_cased=False))


class Device:
    """A device of which the package was just installed, below a folder.

    Attributes:
        held: the lock of an agent that runs, or -1.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.etc, self.state = folder, folder / "etc", folder / "state"
        self.etc.mkdir(parents=True)
        self.held = -1
        self.config = self.etc / "vedette.toml"
        user = UPLINK_UID if os.geteuid() == 0 else os.geteuid()
        self.config.write_text(
            f'[paths]\nstate = "{self.state}"\n'
            f'[rules]\nbundle = "{self.state}/rules.bundle"\ntrust = "{self.etc}/trust.json"\n'
            f'profile = "{self.state}/device.profile"\n'
            f'[response]\nplaybooks = "{self.state}/playbooks.signed"\n'
            f'[updates]\nroot = "{self.etc}/root.json"\n'
            f'[identity]\nkey = "{self.state}/identity.key"\n'
            f'[uplink]\nuser = "{user}"\n[device]\nid = "derived"\n'
        )

    def enroll(self, *words: str | Path) -> int:
        return cli.main(["enroll", "--config", str(self.config), *map(str, words)])

    def told(self, capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
        capsys.readouterr()
        assert self.enroll(*words, "--json") == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path.name != "lock"
        }


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path / "device")
    yield made
    if made.held >= 0:
        os.close(made.held)


@pytest.fixture
def fleet(tmp_path: Path) -> Site:
    """Somebody's keys, trust document and rules."""
    (tmp_path / "fleet").mkdir()
    site = Site(tmp_path / "fleet")
    site.offer(SHELL)
    return site


def test_a_key_is_made_once_and_its_fingerprint_told(
    device: Device, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = device.told(capsys), device.told(capsys)
    signer = load_signer(device.state / "identity.key")
    assert (first["new_key"], second["new_key"]) == (True, False)
    assert first["public_key"] == second["public_key"] == signer.public_key.hex()
    assert first["fingerprint"] == key_id(signer.public_key)
    assert key_pem.decode_public((device.etc / "device.pub").read_bytes()) == signer.public_key
    assert {one["action"] for one in second["files"]} == {"unchanged"}
    assert len(first["missing"]) == 3


def test_the_line_for_the_operator_can_be_run_as_it_is(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = device.told(capsys)
    words = told["next"][0].removeprefix("operator: vedette ").split()
    words[words.index("fleet.json")] = str(tmp_path / "fleet.json")
    assert cli.main(words) == 0
    assert told["public_key"] in (tmp_path / "fleet.json").read_text()


def test_everything_is_taken_from_a_folder(
    device: Device, fleet: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = device.etc / "enroll.d"
    folder.mkdir(mode=0o700)
    (folder / "enroll.toml").write_text(
        'device = "cam-7"\ntenant = "acme"\nclass = "camera"\ngroups = ["lobby"]\n'
        'broker = "mqtt.example.org"\nport = 8884\nupdates = "https://updates.example.org/r"\n'
    )
    (folder / "trust.json").write_bytes((fleet.folder / "trust.json").read_bytes())
    (folder / "rules.bundle").write_bytes(fleet.bundle.read_bytes())
    (folder / "ca.pem").write_bytes(Authority(tmp_path / "ca").file.read_bytes())
    told = device.told(capsys)
    found = configuration.load(device.config)
    assert (found.device.tenant, found.device.id, found.device.class_) == (
        "acme", "cam-7", "camera",
    )  # fmt: skip
    assert found.device.groups == ("lobby",)
    assert (found.uplink.host, found.uplink.port) == ("mqtt.example.org", 8884)
    assert found.updates.source == "https://updates.example.org/r"
    assert (device.state / "rules.bundle").read_bytes() == fleet.bundle.read_bytes()
    assert told["certificate"] == "requested"
    assert not found.uplink.enabled
    assert list(folder.iterdir()) == []
    (missing,) = told["missing"]
    assert missing.startswith("broker: mqtt.example.org: waits for a certificate: have device.csr")


def test_a_request_is_signed_elsewhere_and_its_certificate_brought(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path / "ca")
    told = device.told(
        capsys, "--broker", "mqtt.example.org", "--ca", authority.file, "--device", "cam-7"
    )
    request = x509.load_pem_x509_csr(told["request"].encode())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=cam-7,O=default"
    (tmp_path / "cam-7.pem").write_bytes(authority.sign_request(told["request"].encode()))
    told = device.told(capsys, "--certificate", tmp_path / "cam-7.pem")
    found = configuration.load(device.config).uplink
    assert told["certificate"] == "installed"
    assert found.enabled
    assert Path(found.certificate).read_bytes() == (tmp_path / "cam-7.pem").read_bytes()
    assert "PRIVATE" not in json.dumps(told)


def test_the_key_of_the_connection_is_the_uplinks_to_read_and_nobody_elses(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str], as_root: None
) -> None:
    authority = Authority(tmp_path / "ca")
    device.told(capsys, "--broker", "mqtt.example.org", "--ca", authority.file)
    for path, mode in ((device.etc / "tls", 0o750), (device.etc / "tls" / "device.key", 0o640)):
        found = path.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, UPLINK_UID, mode)


def test_a_certificate_may_be_the_devices_own(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path / "ca")
    flags = ("--broker", "mqtt.example.org", "--ca", authority.file)
    told = device.told(capsys, *flags, "--client-auth", "self-signed")
    made = x509.load_pem_x509_certificate((device.etc / "tls" / "device.pem").read_bytes())
    assert told["certificate_fingerprint"] == made.fingerprint(hashes.SHA256()).hex()
    assert made.not_valid_after_utc.year == 9999
    assert device.told(capsys)["certificate"] == "self-signed"
    assert configuration.load(device.config).uplink.enabled


def test_a_broker_that_asks_for_no_certificate(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path / "ca")
    flags = ("--broker", "mqtt.example.org", "--ca", authority.file)
    assert device.told(capsys, *flags, "--client-auth", "none")["certificate"] == "none"
    assert device.told(capsys)["certificate"] == "none"
    found = configuration.load(device.config).uplink
    assert (found.enabled, found.certificate, found.key) == (True, "", "")


Prepare = Callable[[Device, Site, Path], list[str | Path]]


def _foreign_root(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    (folder / "other").mkdir()
    assert device.enroll("--trust", fleet.folder / "trust.json") == 0
    return ["--trust", Site(folder / "other").folder / "trust.json"]


def _foreign_rules(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    (folder / "other").mkdir()
    other = Site(folder / "other")
    other.offer(SHELL)
    return ["--trust", fleet.folder / "trust.json", "--rules", other.bundle]


def _old_rules(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    fleet.offer(SHELL, expires_in_s=-10)
    return ["--trust", fleet.folder / "trust.json", "--rules", fleet.bundle]


def _foreign_certificate(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    authority = Authority(folder / "ca")
    assert device.enroll("--broker", "b.example", "--ca", authority.file) == 0
    return ["--certificate", authority.client("cam-7").certificate]


def _early_certificate(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    return ["--certificate", Authority(folder / "ca").client("cam-7").certificate]


def _private_key(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    (folder / "usb").mkdir(mode=0o755)
    (folder / "usb" / "device.key").touch()
    return ["--from", folder / "usb"]


def _mistyped_name(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    (folder / "usb").mkdir(mode=0o755)
    (folder / "usb" / "rule.bundle").touch()
    return ["--from", folder / "usb"]


def _mistyped_word(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    (folder / "usb").mkdir(mode=0o755)
    (folder / "usb" / "enroll.toml").write_text('devise = "x"\nport = "8883"\n')
    return ["--from", folder / "usb"]


def _open_folder(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    (folder / "usb").mkdir()
    (folder / "usb").chmod(0o777)
    return ["--from", folder / "usb"]


def _new_name(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    assert device.enroll("--device", "cam-7") == 0
    return ["--device", "cam-8"]


def _no_user(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root: only root gives files to other users")
    text = device.config.read_text().replace(str(UPLINK_UID), "vedette-nobody")
    device.config.write_text(text)
    return ["--broker", "b.example", "--ca", Authority(folder / "ca").file]


def _lost_key(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    device.state.mkdir()
    (device.state / "state.a").touch()
    return []


def _running_agent(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    assert device.enroll() == 0
    device.held = folders.hold(device.state)
    return ["--new-key"]


def _unsigned_root(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    (folder / "root.json").write_text('{"signed": {"_type": "root"}, "signatures": []}')
    return ["--root", folder / "root.json"]


def _fifo(device: Device, fleet: Site, folder: Path) -> list[str | Path]:
    os.mkfifo(folder / "fifo")
    return ["--trust", folder / "fifo"]


REFUSED: dict[str, tuple[Prepare, str]] = {
    "another root of trust": (_foreign_root, "a device keeps its root"),
    "rules of somebody else": (_foreign_rules, "rules.bundle: rules bundle: expected a signature"),
    "rules before any trust": (
        lambda device, fleet, folder: ["--rules", fleet.bundle],
        "expected a root of trust before anything that it has to vouch for",
    ),
    "rules past their date": (_old_rules, "have a newer one signed, or set the clock"),
    "a trust document that is none": (
        lambda device, fleet, folder: ["--trust", fleet.bundle],
        "rules.bundle: trust document: expected a payload of type",
    ),
    "a root that nobody signed": (_unsigned_root, "expected root metadata signed by its own keys"),
    "a certificate for another key": (_foreign_certificate, "for this device's key, got one for"),
    "a certificate before there is a key": (_early_certificate, "there is no key on this device"),
    "a broker without its authority": (
        lambda device, fleet, folder: ["--broker", "b.example"],
        "--broker b.example: expected --ca",
    ),
    "an authority that is none": (
        lambda device, fleet, folder: [
            "--broker",
            "b.example",
            "--ca",
            fleet.folder / "trust.json",
        ],
        "trust.json: expected certificates in PEM",
    ),
    "a broker with its port": (
        lambda device, fleet, folder: ["--broker", "b.example:8883"],
        "--broker: expected a host name or address without port",
    ),
    "a port that is none": (
        lambda device, fleet, folder: ["--port", "70000"],
        "--port: expected a whole number from 1 to 65535",
    ),
    "a name that no topic may have": (
        lambda device, fleet, folder: ["--device", "Cam_7"],
        "--device: expected 1 to 64 characters",
    ),
    "an uplink without its user": (_no_user, 'there is no user "vedette-nobody"'),
    "another name": (_new_name, "this device is enrolled as cam-7, not cam-8"),
    "a key from elsewhere": (_private_key, "expected no private key"),
    "a file name with a slip": (_mistyped_name, 'did you mean "rules.bundle"?'),
    "a word with a slip": (_mistyped_word, 'enroll.toml: unknown key "devise": did you mean'),
    "a folder that everybody may write": (_open_folder, "expected that root alone can write it"),
    "a folder that is not there": (
        lambda device, fleet, folder: ["--from", folder / "none"],
        "none: expected a folder to enroll from: No such file",
    ),
    "a fifo": (_fifo, "fifo: expected a file, got p"),
    "a new key while the agent runs": (_running_agent, "is in use by another sentinel"),
    "a key that is lost": (_lost_key, "although it had one"),
}


@pytest.mark.parametrize(("prepare", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_changes_nothing(
    device: Device,
    fleet: Site,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    prepare: Prepare,
    expected: str,
) -> None:
    words = prepare(device, fleet, tmp_path)
    before = device.files()
    capsys.readouterr()
    assert device.enroll(*words) == 2
    said = capsys.readouterr()
    assert expected in said.err
    assert said.out == ""
    assert device.files() == before


def test_all_mistakes_are_told_at_once(
    device: Device, fleet: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert device.enroll(*_mistyped_word(device, fleet, tmp_path), "--device", "Cam_7") == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 3
    assert '"8883" (text)' in said


def test_a_lost_key_is_replaced_when_it_is_asked(
    device: Device, capsys: pytest.CaptureFixture[str]
) -> None:
    first = device.told(capsys)
    second = device.told(capsys, "--new-key")
    assert second["new_key"]
    assert second["public_key"] != first["public_key"]
    assert len(list(device.state.glob("identity.key.*"))) == 1
    (device.state / "state.a").touch()
    (device.state / "identity.key").unlink()
    assert device.told(capsys, "--new-key")["new_key"]


def test_the_root_it_has_may_be_brought_again(
    device: Device, fleet: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    device.told(capsys, "--trust", fleet.folder / "trust.json")
    told = device.told(capsys, "--trust", fleet.folder / "trust.json", "--rules", fleet.bundle)
    actions = {Path(one["path"]).name: one["action"] for one in told["files"]}
    assert actions["trust.json"] == "unchanged"
    assert actions["rules.bundle"] == "written"


def test_a_folder_that_is_named_keeps_its_files(
    device: Device, fleet: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "usb"
    folder.mkdir(mode=0o755)
    (folder / "trust.json").write_bytes((fleet.folder / "trust.json").read_bytes())
    device.told(capsys, "--from", folder)
    assert [path.name for path in folder.iterdir()] == ["trust.json"]


def test_a_full_disk_leaves_what_was_and_the_next_try_finishes(
    device: Device, fleet: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = device.told(capsys)["public_key"]
    words = ("--trust", fleet.folder / "trust.json", "--rules", fleet.bundle)
    refusals = 0
    while refusals < 100:
        with monkeypatch.context() as patched:
            patched.setattr(durable, "disk", FailingDisk(refusals + 1))
            code = device.enroll(*words)
        assert configuration.load(device.config).device.id == "derived"
        if code == 0:
            break
        assert "No space left on device" in capsys.readouterr().err
        refusals += 1
    assert 5 < refusals < 100
    told = device.told(capsys, *words)
    assert told["public_key"] == key
    assert {one["action"] for one in told["files"]} == {"unchanged"}
