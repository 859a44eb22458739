"""A real agent learns a real device, a person signs, and four things leave the profile: over MQTT.

The device lives in network and pid namespaces of its own, so that the agent sees the device alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.network import Namespace
from tests.simulators.station import Operator, operator
from tests.system._live import Live, live
from tests.system._proc import children
from tests.system._site import Running, Site, rule

from vedette.codec import dsse
from vedette.codec.profile import PAYLOAD_TYPE, decode_draft, encode
from vedette.daemon.firmware import firmware
from vedette.model.profile import Learnt, Origin, Profile, Program
from vedette.model.rule import Match
from vedette.trust.ed25519 import Ed25519Signer
from vedette.trust.keyfile import key_id

pytestmark = pytest.mark.system

POLLING = (
    '[sensors]\ndisable = ["ebpf", "audit", "proc_connector", "conntrack", "journald", "fanotify"]'
    "\n[sensors.procfs]\nperiod_s = 1\n"
)
NOTHING = rule("nothing", "file_event", Match("TargetFilename", "endswith", ".nothing", False))
HERE = "10.9.0.1"
CLOUD, STRANGER = 7001, 7002
PORT, BACKDOOR = 8080, 4444

DEVICE = """
import json, socket, subprocess, sys
plan = json.loads(sys.argv[1])
started = [subprocess.Popen([program, "600"]) for program in plan["start"]]
kept = [socket.create_server(("0.0.0.0", port)) for port in plan["listen"]]
kept += [socket.create_connection(("10.9.0.1", port)) for port in plan["call"]]
sys.stdin.read()
for process in started:
    process.kill()
    process.wait()
"""


class Camera:
    """A fixed-function device: three programs, a port and a cloud."""

    def __init__(self, folder: Path, agent: Live) -> None:
        self.folder, self._agent = folder, agent
        folder.mkdir()
        python = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
        shutil.copy(python, folder / "camd")
        for name in ("helper", "logd", "implant"):
            shutil.copy("/bin/sleep", folder / name)
        (folder / "device.py").write_text(DEVICE)

    @contextlib.contextmanager
    def works(self, **strange: Sequence[object]) -> Iterator[None]:
        """Let it do what it always does, and something strange besides."""
        plan: Mapping[str, list[object]] = {
            "start": [str(self.folder / "helper"), *strange.get("start", ())],
            "listen": [PORT, *strange.get("listen", ())],
            "call": [CLOUD, *strange.get("call", ())],
        }
        with (
            self._run("logd", "600") as logd,
            self._run("camd", str(self.folder / "device.py"), json.dumps(plan)) as camd,
        ):
            try:
                yield
            finally:
                assert camd.stdin is not None
                camd.stdin.close()
                assert camd.wait(20) == 0
                logd.kill()

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        assert self._agent.keeper is not None
        (first,) = children(self._agent.keeper.pid)
        return subprocess.Popen(
            ["nsenter", "-t", str(first), "-p", "-m", str(self.folder / program), *arguments],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONHOME": sys.base_prefix},
        )


@pytest.fixture
def camera(as_root: None, tmp_path: Path) -> Iterator[tuple[Live, Camera, Operator]]:
    with Namespace() as home, contextlib.ExitStack() as stack:
        home.run("ip", "address", "add", f"{HERE}/24", "dev", "lo")
        stack.enter_context(home.entered())
        for port in (CLOUD, STRANGER):
            stack.enter_context(socket.create_server((HERE, port)))
        try:
            agent, broker = stack.enter_context(live(tmp_path / "site", sensors=POLLING))
            broker.start()
        except FileNotFoundError as error:
            pytest.skip(str(error))
        agent.site.offer(NOTHING)
        agent.site.device_class = "camera"
        agent.configure()
        start(agent)
        listener = stack.enter_context(operator(broker))
        yield agent, Camera(tmp_path / "camera", agent), listener


def start(agent: Live) -> None:
    script = str(Path(__file__).with_name("in_own_pids.py"))
    config = str(agent.site.config)
    agent.start(
        (sys.executable, script, sys.executable, "-I", "-m", "vedette.cli", "run",
         "--config", config)
    )  # fmt: skip


def vedette(agent: Live, *words: str | Path, code: int = 0) -> str:
    """Run a command as a person does; returns what it prints."""
    needs_config = words[0] == "learn" or words[:2] == ("profile", "drift")
    config = ("--config", str(agent.site.config)) if needs_config else ()
    done = subprocess.run(
        [sys.executable, "-m", "vedette.cli", *map(str, words), *config],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def things_of(agent: Live, camera: Camera) -> set[tuple[str, str]]:
    """What of the camera left its profile: kind and the last word of its key."""
    found = agent.site.ask("profile.drift")["things"]
    return {
        (thing["kind"], Path(thing["key"][-1]).name)
        for thing in found
        if any(str(camera.folder) in word for word in thing["key"])
    }


def test_from_learning_to_four_findings(camera: tuple[Live, Camera, Operator]) -> None:
    agent, device, listener = camera
    draft, signed = agent.site.folder / "camera.draft", agent.site.profile
    assert "nothing was learnt" in vedette(agent, "learn", "status", code=1)
    assert "learning" in vedette(agent, "learn", "start", "--for", "72h")
    with device.works():
        agent.until(lambda: has_learnt(agent, device), "the camera to be learnt")
        assert "its whole time" in vedette(agent, "learn", "stop", code=2)
        assert "1 start" not in vedette(agent, "learn", "write", draft)
    assert "was stopped" in vedette(agent, "learn", "stop", "--yes")
    assert str(device.folder) in draft.read_text()
    sign = ("--key", agent.site.folder / "profiles.key", "--counter", "1", "--name", "cam")
    vedette(agent, "profile", "sign", draft, "-o", signed, *sign)
    assert "nothing differs" in vedette(agent, "profile", "diff", draft, signed)
    agent.site.ask("reload")
    assert agent.site.ask("status")["profile"]["state"] == "in force"
    before = ports_told(agent)
    with device.works():
        agent.until(lambda: ports_told(agent) > before, "the camera's port to be seen again")
    strange = [str(device.folder / "implant"), str(device.folder / "logd")]
    with device.works(start=strange, listen=[BACKDOOR], call=[STRANGER]):
        wanted = {
            ("program", "implant"), ("pair", "logd"), ("listener", str(BACKDOOR)),
            ("peer", str(STRANGER)),
        }  # fmt: skip
        agent.until(lambda: things_of(agent, device) >= wanted, f"{wanted}")
        told = {f"vedette:profile-{kind}" for kind, _ in wanted}
        agent.until(lambda: rules_of(listener, device) >= told, f"{told} over MQTT")
    assert things_of(agent, device) == wanted, "and nothing else of the camera"
    assert "implant" in vedette(agent, "profile", "drift", code=1)
    assert agent.stop() == 0


def has_learnt(agent: Live, device: Camera) -> bool:
    draft = agent.site.ask("learn.show")["draft"].encode()
    learnt: Learnt = decode_draft(draft).learnt
    camd = str(device.folder / "camd")
    names = {Path(program.path).name for program in learnt.programs if program.digests}
    return (
        names >= {"camd", "helper", "logd"}
        and any(pair.parent == camd for pair in learnt.pairs)
        and any((one.program, one.port) == (camd, PORT) for one in learnt.listeners)
        and any((one.program, one.port) == (camd, CLOUD) for one in learnt.peers)
    )


def ports_told(agent: Live) -> int:
    """How many new listeners the agent was told of so far."""
    ledger = agent.site.ask("status")["ledger"]
    return sum(int(row["counters"]["out"]) for row in ledger if row["stage"] == "listeners")


def rules_of(listener: Operator, device: Camera) -> set[str]:
    found = [json.loads(one.body) for one in list(listener.findings())]
    return {
        document["finding_info"]["analytic"]["uid"]
        for document in found
        if str(device.folder) in json.dumps(document)
    }


# Without a broker: what is refused, what survives.


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, sensors=POLLING)
    made.device_class = "camera"
    made.write_config()
    made.offer(NOTHING)
    yield made
    shutil.rmtree(made.run, ignore_errors=True)


def profile(site: Site, **changes: Any) -> bytes:
    """A signed profile of this device's firmware, with changes."""
    now_s = int(time.time())
    key = changes.pop("key", site.profiles_key)
    fields: dict[str, Any] = {
        "name": "cam", "counter": 5, "issued_s": now_s, "expires_s": now_s + 1000,
        "device_class": "camera", "firmware": firmware(""),
        "origin": Origin("d", 1, 1, 1, 0), "learnt": Learnt((Program("/bin/a", ()),)), "digest": "",
    }  # fmt: skip
    payload = encode(Profile(**{**fields, **changes}))
    signature = key.sign(dsse.pae(PAYLOAD_TYPE, payload))
    return dsse.encode(PAYLOAD_TYPE, payload, [(key_id(key.public_key), signature)])


def test_a_profile_that_may_not_be_used_is_told_and_the_last_good_one_stays(site: Site) -> None:
    good = profile(site)
    site.profile.write_bytes(good)
    stranger = Ed25519Signer(b"\x01" * 32)
    bad = {
        "altered": good.replace(b'"payload":"ey', b'"payload":"eX'),
        "unsigned": b"{}",
        "foreign": profile(site, counter=6, key=stranger),
        "signed for rules": profile(site, counter=6, key=site.rules_key),
        "older": profile(site, counter=4),
        "other content, same counter": profile(site, name="other"),
        "expired": profile(site, counter=6, issued_s=1, expires_s=10),
        "of another class": profile(site, counter=6, device_class="router"),
    }
    with Running(site):
        assert site.ask("status")["profile"]["state"] == "in force"
        for name, data in bad.items():
            site.profile.write_bytes(data)
            site.ask("reload")
            found = site.ask("status")["profile"]
            assert (found["state"], found["counter"]) == ("in force", 5), name
            assert len(found["reason"]) > 20, name
        assert "class 'router'" in site.ask("status")["profile"]["reason"]
        site.until_incident("vedette:profile-refused")
        site.profile.unlink()
        site.ask("reload")
        assert site.ask("status")["profile"]["counter"] == 5, "the last good one is kept"
        site.write_config()
        text = site.config.read_text().replace(f'"{site.profile}"', '""')
        site.config.write_text(text)
        site.ask("reload")
        assert site.ask("status")["profile"]["state"] == "none"


def test_a_profile_of_another_firmware_is_stale_and_makes_no_noise(site: Site) -> None:
    site.profile.write_bytes(profile(site, firmware="cam-os 0.9"))
    with Running(site):
        found = site.ask("status")["profile"]
        assert found["state"] == "stale"
        assert "cam-os 0.9" in found["reason"]
        site.until_incident("vedette:stale-profile")
        assert site.ask("profile.drift")["things"] == []


def test_what_was_learnt_survives_a_kill_and_a_stop(site: Site) -> None:
    with Running(site) as running:
        site.ask("learn.start", seconds=3600)
        site.until(lambda: site.ask("learn.status")["programs"] > 0)
        site.until_incident("vedette:learning-started")
        before = decode_draft(site.ask("learn.write")["draft"].encode()).learnt
        running.stop(signal.SIGKILL)
    with Running(site) as running:
        run = site.ask("learn.status")
        assert run["state"] == "learning"
        after = decode_draft(site.ask("learn.show")["draft"].encode()).learnt
        assert {one.path for one in before.programs} <= {one.path for one in after.programs}
        assert running.stop() == 0
    with Running(site):
        assert site.ask("learn.stop", early=True)["state"] == "stopped"
    with Running(site):
        assert site.ask("learn.status")["state"] == "stopped"
        assert "programs" in site.ask("learn.write")["draft"]


def test_who_listens_already_is_learnt_with_its_program(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Running(site):
        port = server.getsockname()[1]
        site.ask("learn.start", seconds=3600)
        learnt = decode_draft(site.ask("learn.show")["draft"].encode()).learnt
        (mine,) = [one for one in learnt.listeners if one.port == port]
        assert Path(mine.program).name.startswith("python")


def test_a_damaged_run_is_told_and_learning_can_begin_again(site: Site) -> None:
    with Running(site):
        site.ask("learn.start", seconds=3600)
    (kept,) = (site.state / "learning").iterdir()
    kept.write_bytes(kept.read_bytes()[:-20])
    with Running(site):
        site.until_incident("vedette:learning-lost")
        assert site.ask("learn.status")["state"] == "none"
        assert site.ask("learn.start", seconds=3600)["state"] == "learning"
