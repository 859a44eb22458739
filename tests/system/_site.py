"""A device in a folder: keys, trust, rules, configuration, and a sentinel to start and stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.system._proc import end

from vedette.cli._signing import sealed
from vedette.codec import bundle as bundle_codec
from vedette.codec import dsse
from vedette.codec import playbook as playbook_codec
from vedette.codec import trust_document as trust_codec
from vedette.codec.bundle import PAYLOAD_TYPE
from vedette.daemon import control_client
from vedette.model.command import Verb
from vedette.model.finding import Severity
from vedette.model.playbook import DeviceProfile, Limit, Playbook, Playbooks
from vedette.model.response import Mode
from vedette.model.rule import AllOf, Bundle, Match, Rule
from vedette.model.trust import EVERY_GROUP, Grant, Role, TrustDocument
from vedette.trust.ed25519 import Ed25519Signer
from vedette.trust.keyfile import create_signer, key_id, load_signer
from vedette_dev.readiness import Readiness

DEADLINE_S = 30.0
DAY_S = 86400
T = TypeVar("T")


def rule(rule_id: str, category: str, *matches: Match) -> Rule:
    return Rule(
        rule_id, f"Rule {rule_id}", "An Author", Severity.HIGH, (), category, AllOf(matches), ()
    )


class Site:
    """One device below a folder; a second one on the same folder has its keys and its state.

    Attributes:
        watched: the only tree that is watched.
        device_class: takes effect with the next `write_config`.
        groups: so do these.
        operators: keys that may command everything, by the file beside the configuration.
    """

    def __init__(self, folder: Path, *, sensors: str = "") -> None:
        self.folder = folder
        folder.chmod(0o700)
        self.watched = folder / "watched"
        self.watched.mkdir(exist_ok=True)
        self.config = folder / "vedette.toml"
        self.state = folder / "state"
        self.run = Path("/tmp") / f"vedette-test-{os.getpid()}-{abs(hash(folder)) % 10**8}"
        self._root = _key(folder / "root.key")
        self.rules_key = _key(folder / "rules.key")
        self.profiles_key = _key(folder / "profiles.key")
        self.operators = {name: _key(folder / f"{name}.key") for name in ("alice", "bob")}
        self.playbooks_key = _key(folder / "playbooks.key")
        self.device_class = ""
        self.groups: Sequence[str] = ()
        _key(folder / "device.key")
        self._write_trust()
        self._counter = int(time.time())
        self.sensors = sensors
        self.write_config()

    def write_config(self, more: str = "") -> None:
        """Write the configuration; `more` is TOML appended to it."""
        self.config.write_text(
            f'[device]\nid = "site"\nclass = "{self.device_class}"\n'
            f"groups = {json.dumps(list(self.groups))}\n"
            f'[paths]\nstate = "{self.state}"\nrun = "{self.run}"\n'
            f'[files]\nwatch = ["{self.watched}"]\n'
            f'[rules]\nbundle = "{self.bundle}"\ntrust = "{self.folder}/trust.json"\n'
            f'profile = "{self.profile}"\n'
            f'[response]\nplaybooks = "{self.playbooks}"\n'
            f'[identity]\nkey = "{self.folder}/device.key"\n{self.sensors}\n{more}\n'
        )

    @property
    def bundle(self) -> Path:
        """Where bundles are offered."""
        return self.folder / "rules.bundle"

    @property
    def profile(self) -> Path:
        """Where profiles are offered."""
        return self.folder / "device.profile"

    @property
    def playbooks(self) -> Path:
        """Where playbooks are offered."""
        return self.folder / "playbooks.signed"

    def offer_playbooks(
        self, *playbooks: Playbook, promoted: bool, key: Ed25519Signer | None = None
    ) -> Playbooks:
        """Sign playbooks under a profile that lets every responder act, and offer them."""
        self._counter += 1
        now_s = int(time.time())
        made = [one._replace(digest=playbook_codec.digest_of(one)) for one in playbooks]
        limit = Limit(Mode.ENFORCE, 1000, DAY_S)
        limits = {step.responder: limit for one in made for step in one.steps}
        content = Playbooks(
            "test", self._counter, now_s, now_s + DAY_S, tuple(made),
            (DeviceProfile("all", ("",), limits),),
            tuple(one.digest for one in made if promoted), "",
        )  # fmt: skip
        payload = playbook_codec.encode(content)
        signer = key or self.playbooks_key
        self.playbooks.write_bytes(sealed(playbook_codec.PAYLOAD_TYPE, payload, signer))
        return content

    def offer(
        self,
        *rules: Rule,
        counter: int | None = None,
        expires_in_s: int = DAY_S,
        key: Ed25519Signer | None = None,
        redactions: Sequence[str] = (),
    ) -> bytes:
        """Sign a bundle and put it where it is offered; returns its bytes."""
        self._counter += 1
        now_s = int(time.time())
        payload = bundle_codec.encode(
            Bundle(
                "test", self._counter if counter is None else counter, now_s, now_s + expires_in_s,
                rules, tuple(redactions), "",
            )
        )  # fmt: skip
        signer = key or self.rules_key
        signature = signer.sign(dsse.pae(PAYLOAD_TYPE, payload))
        data = dsse.encode(PAYLOAD_TYPE, payload, [(key_id(signer.public_key), signature)])
        self.bundle.write_bytes(data)
        return data

    def ask(self, do: str, **params: Any) -> dict[str, Any]:
        """Ask the running sentinel."""
        return dict(control_client.ask(self.run / "control.sock", do, params))

    def incidents(self) -> list[dict[str, Any]]:
        """The newest report of each incident, newest first."""
        found: list[dict[str, Any]] = self.ask("incidents.list", limit=1000)["incidents"]
        return found

    def until(self, look: Callable[[], T | None]) -> T:
        """Look again until there is something, or fail after DEADLINE_S."""
        ends_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < ends_s:
            found = look()
            if found:
                return found
            time.sleep(0.02)
        known = [str(document)[:2000] for document in self.incidents()]
        raise AssertionError(f"not seen within {DEADLINE_S} s; incidents: {known}")

    def until_incident(self, rule_id: str) -> dict[str, Any]:
        """Wait for an incident of a rule; returns its newest report."""
        return self.until(lambda: self.find(rule_id))

    def find(self, rule_id: str) -> dict[str, Any] | None:
        """The newest report of the newest incident of a rule, if there is one."""
        for document in self.incidents():
            if document["finding_info"]["analytic"]["uid"] == rule_id:
                return document
        return None

    def _write_trust(self) -> None:
        now_s = int(time.time())
        document = TrustDocument(
            version=1,
            issued_s=now_s,
            expires_s=now_s + 365 * DAY_S,
            root=_role(self._root.public_key),
            purposes={
                "rules": _role(self.rules_key.public_key),
                "profiles": _role(self.profiles_key.public_key),
                "operators": _operators(*self.operators.values()),
                "playbooks": _role(self.playbooks_key.public_key),
            },
        )
        payload = trust_codec.encode(document)
        signature = self._root.sign(dsse.pae(trust_codec.PAYLOAD_TYPE, payload))
        self.folder.joinpath("trust.json").write_bytes(
            dsse.encode(
                trust_codec.PAYLOAD_TYPE, payload, [(key_id(self._root.public_key), signature)]
            )
        )


class Running:
    """A started sentinel; a context manager that is entered when it is ready.

    Args:
        arguments: more for its command line.
        environment: added to its own.
        launcher: a command that runs the sentinel's in its own place (exec), such as `unshare`.
    """

    def __init__(
        self,
        site: Site,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        launcher: Sequence[str] = (),
    ) -> None:
        self._site = site
        self._launcher = launcher
        self._arguments = arguments
        self._environment = environment or {}

    def __enter__(self) -> Self:
        log = self._site.folder / "sentinel.log"
        with Readiness(self._site.folder / "ready.sock") as readiness, log.open("ab") as output:
            self.process = subprocess.Popen(
                [*self._launcher, sys.executable, "-m", "vedette.cli", "sentinel",
                 "--config", str(self._site.config), *self._arguments],
                env={**os.environ, **readiness.environment, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )  # fmt: skip
            try:
                readiness.wait(DEADLINE_S, self._ended, lambda _: None)
            except BaseException:  # `with` leaves nothing whose beginning failed
                if self.process.poll() is None:
                    self.stop()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.stop()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; returns the exit code."""
        return end(self.process, DEADLINE_S, number)

    def _ended(self) -> str:
        if self.process.poll() is None:
            return ""
        told = (self._site.folder / "sentinel.log").read_text()[-3000:]
        return told or f"it ended with {self.process.returncode} and said nothing"


def bodies(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Documents in their canonical form, for comparing."""
    return [json.dumps(document, sort_keys=True) for document in documents]


def _key(path: Path) -> Ed25519Signer:
    return load_signer(path) if path.exists() else create_signer(path)


def _role(public_key: bytes) -> Role:
    return Role({key_id(public_key): public_key}, 1)


def _operators(*keys: Ed25519Signer) -> Role:
    """Each may do everything everywhere, alone where one key is enough."""
    public = {key_id(key.public_key): key.public_key for key in keys}
    grant = Grant(frozenset(Verb), frozenset({EVERY_GROUP}))
    return Role(public, 1, dict.fromkeys(public, grant))
