"""A release of a model on a device, from its manifest to its commit, and every way back."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.simulators.failing_disk import FailingDisk
from tests.simulators.model_content import NAME, make
from tests.simulators.model_signer import ModelSigner
from tests.system import _worker
from tests.system._model_release import Site, entry, model
from tests.system._worker import plain_model, public_folder

from vedette.daemon.appliers import model as model_applier
from vedette.daemon.appliers.applier import Applied
from vedette.daemon.models.watch import Watch
from vedette.errors import FetchError
from vedette.model.model_manifest import RunLimits
from vedette.model.model_use import ModelUse
from vedette.store import durable

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(_worker.refusal()), reason=_worker.refusal() or "none"),
]
COMMITTED: Final = [("fetched", ""), ("written", ""), ("trial", ""), ("committed", "")]
ROLLED_BACK_S: Final = 2.0


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as made:
        yield made


@pytest.fixture
def site(folder: Path) -> Site:
    return Site(folder)


def test_a_good_model_is_fetched_tried_and_committed(site: Site) -> None:
    assert site.apply(site.publish(model())) is Applied.TAKEN
    assert site.told() == COMMITTED
    assert site.in_use() == entry("1")
    facts = site.steps[1]["facts"]
    assert (facts["golden"], facts["signature"]) == ("1", "none")
    assert int(facts["slowest_ms"]) > 0
    assert int(facts["peak_bytes"]) > 1 << 20


def test_the_next_one_follows_and_what_is_equal_is_not_fetched(site: Site) -> None:
    site.apply(site.publish(model()))
    asked = len(site.source.asked)
    assert site.apply(site.publish(model(version="2"), "2")) is Applied.TAKEN
    assert site.in_use() == entry("2")
    assert len(site.source.asked) - asked == 2  # the manifest, and the one file that is new


def test_the_same_content_under_another_counter_is_in_use_already(site: Site) -> None:
    site.apply(site.publish(model()))
    assert site.apply(site.publish(model())) is Applied.TAKEN
    assert site.told()[-1] == ("committed", "")
    assert site.reason() == "it is in use already"


SHORT: Final = RunLimits(700, 256 << 20, 4096)
SMALL: Final = RunLimits(20_000, 128 << 20, 4096)
BAD: Final = {
    "that hangs": (model("hang", version="2", limits=SHORT), "limits"),
    "that eats memory": (model("eat", version="2", limits=SMALL), "limits"),
    "that answers nothing": (model("silent", version="2"), "golden"),
    "that crashes": (model("crash", version="2"), "golden"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_model_never_becomes_current(site: Site, case: str) -> None:
    site.apply(site.publish(model()))
    made, cause = BAD[case]
    assert site.apply(site.publish(made, "2")) is Applied.REFUSED
    assert site.told()[len(COMMITTED) :] == [("fetched", ""), ("refused", cause)]
    assert site.in_use() == entry("1")
    assert site.store.digests(NAME) == [site.store.pointers(NAME).current]


def signed_site(folder: Path, signer: ModelSigner, **options: object) -> Site:
    key = folder / "maker.pem"
    key.write_bytes(signer.public_pem)
    return Site(folder, signature_keys=(str(key),), **options)


def model_signature(folder: Path, signer: ModelSigner, content: bytes) -> bytes:
    place = folder / "signed"
    place.mkdir(exist_ok=True)
    (place / "model.json").write_bytes(content)
    return signer.sign(place)


def test_a_model_signature_is_verified_and_told(folder: Path) -> None:
    signer = ModelSigner("p384")
    site = signed_site(folder, signer, signature="required")
    content = plain_model()[0]["model.json"]
    made = model(signature=model_signature(folder, signer, content))
    assert site.apply(site.publish(made)) is Applied.TAKEN
    assert len(site.steps[1]["facts"]["signature"]) == 64


@pytest.mark.parametrize("case", ["of another model", "by another key", "missing"])
def test_a_model_signature_that_does_not_hold_is_refused(folder: Path, case: str) -> None:
    signer = ModelSigner()
    site = signed_site(folder, signer, signature="required")
    content = plain_model()[0]["model.json"]
    signature = {
        "of another model": model_signature(folder, signer, content + b" "),
        "by another key": model_signature(folder, ModelSigner(number=8), content),
        "missing": b"",
    }[case]
    assert site.apply(site.publish(model(signature=signature))) is Applied.REFUSED
    assert site.told()[-1] == ("refused", "signature")
    assert site.in_use() == ""
    assert site.store.digests(NAME) == []


def test_content_that_was_not_signed_is_refused(site: Site) -> None:
    made = model()
    release = site.publish(made)
    for digest, data in made.content.items():
        site.source.targets[f"models/{NAME}/{digest}.{digest}"] = bytes(len(data))
    assert site.apply(release) is Applied.REFUSED
    assert site.told() == [("refused", "content")]
    assert list((site.store.folder / NAME / "staging").iterdir()) == []


def test_a_download_that_breaks_off_goes_on(site: Site) -> None:
    files, golden, limits, _ = plain_model()
    made = make({**files, "weights.bin": os.urandom(5000)}, golden=golden, limits=limits)
    release = site.publish(made)
    digest = next(one for one, data in made.content.items() if len(data) == 5000)
    path = f"models/{NAME}/{digest}.{digest}"
    site.source.targets[path], whole = made.content[digest][:3000], site.source.targets[path]
    with pytest.raises(FetchError):
        site.apply(release)
    (part,) = site.store.folder.rglob("*.part")
    assert part.stat().st_size == 3000
    site.source.targets[path] = whole
    assert site.apply(release) is Applied.TAKEN


def test_what_a_cut_tore_is_fetched_once_more_before_anybody_is_accused(site: Site) -> None:
    made = model()
    release = site.publish(made)
    digest = max(made.content, key=lambda one: len(made.content[one]))
    path = f"models/{NAME}/{digest}.{digest}"
    whole = site.source.targets.pop(path)
    with pytest.raises(FetchError):
        site.apply(release)
    place = next(site.store.folder.rglob("blobs")) / f"{digest}.part"
    place.write_bytes(bytes(len(whole) // 2))
    site.source.targets[path] = whole
    assert site.apply(release) is Applied.TAKEN


def test_a_manifest_of_another_release_is_refused(site: Site) -> None:
    assert site.apply(site.publish(model(version="1"), "2")) is Applied.REFUSED
    assert site.told() == [("refused", "mix-up")]


def test_a_runner_that_this_device_has_not_is_told(site: Site) -> None:
    files, golden, limits, _ = plain_model()
    made = make(files, golden=golden, limits=limits, runner="python")
    assert site.apply(site.publish(made)) is Applied.REFUSED
    assert site.told() == [("refused", "settings")]
    assert "[models.runners.python]" in site.reason()


def test_a_model_that_does_not_fit_is_refused_and_nothing_changed(folder: Path) -> None:
    site = Site(folder, max_mb=1)
    site.apply(site.publish(model()))
    files, golden, limits, _ = plain_model(version="2")
    made = make({**files, "weights.bin": bytes(2 << 20)}, golden=golden, limits=limits, version="2")
    assert site.apply(site.publish(made, "2")) is Applied.REFUSED
    assert site.told()[-1] == ("refused", "disk")
    assert site.in_use() == entry("1")


def test_a_disk_that_is_full_at_any_step_leaves_what_was_in_use(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(folder, golden="when-present")
    site.apply(site.publish(make({"model.json": b"1"})))
    for step in range(1, 300):
        release = site.publish(make({"model.json": b"%d" % step}, version=str(step)), str(step))
        before = site.in_use()
        disk = FailingDisk(step, errno.ENOSPC, is_lasting=True)
        with monkeypatch.context() as patched:
            patched.setattr(durable, "disk", disk)
            with contextlib.suppress(Exception):
                site.apply(release)
        model_applier.recover(site.context)
        if len(disk.changes) < step:
            assert site.in_use() != before
            return
        assert not site.store.pointers(NAME).is_trial
        site.store.verify(NAME, site.store.pointers(NAME).current)
    pytest.fail("the disk never had all its steps")


# The hook and the watch


class Detector:
    """An inference process: it answers on its socket, and speaks on its health socket.

    Attributes:
        told: the lines that it got.
    """

    def __init__(self, folder: Path, answers: list[bytes]) -> None:
        self.use = ModelUse(
            NAME, "socket", socket=str(folder / "d.sock"), health=str(folder / "h.sock"),
            silence_s=1, user="0", trial_s=20,
        )  # fmt: skip
        self.told: list[dict[str, str]] = []
        self.on_told: Callable[[], object] = lambda: None
        self._answers = answers
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.use.socket)
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def say(self, words: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(words, self.use.health)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with client:
                self.told.append(json.loads(client.makefile("rb").readline()))
                client.sendall(self._answers.pop(0) if self._answers else b"ok\n")
            self.on_told()


@contextlib.contextmanager
def detecting(folder: Path, *answers: bytes) -> Iterator[Detector]:
    found = Detector(folder, list(answers))
    try:
        yield found
    finally:
        found.close()


def used_site(folder: Path, use: ModelUse) -> Site:
    """A device with version 1 in use, and nobody told yet."""
    site = Site(folder)
    site.apply(site.publish(model()))
    again = Site(folder, uses={NAME: use})
    again._counter = 1
    return again


def test_its_user_is_told_which_model_is_in_force(folder: Path) -> None:
    with detecting(folder) as detector:
        site = used_site(folder, detector.use._replace(health="", trial_s=0))
        assert site.apply(site.publish(model(version="2"), "2")) is Applied.TAKEN
        (line,) = detector.told
        assert line["digest"] == site.store.pointers(NAME).current
        assert line["model"] == NAME
        assert line["path"] == f"{site.store.folder}/{NAME}/current"


@pytest.mark.parametrize("answer", [b"no: out of memory\x1b[2J\n", b"", b"okay\n"])
def test_a_user_that_does_not_take_it_gets_the_one_before(folder: Path, answer: bytes) -> None:
    with detecting(folder, answer) as detector:
        site = used_site(folder, detector.use._replace(health=""))
        began_s = time.monotonic()
        assert site.apply(site.publish(model(version="2"), "2")) is Applied.REFUSED
        assert time.monotonic() - began_s < 10
        assert site.told()[-2:] == [("trial", ""), ("rolled-back", "hook")]
        assert "\x1b" not in site.reason()
        assert site.in_use() == entry("1")
        assert [one["digest"] for one in detector.told][-1] == site.store.pointers(NAME).current


def test_a_user_that_is_not_there_is_a_failed_hook(folder: Path) -> None:
    use = ModelUse(NAME, "socket", socket=str(folder / "nobody.sock"))
    site = used_site(folder, use)
    assert site.apply(site.publish(model(version="2"), "2")) is Applied.REFUSED
    assert site.told()[-1] == ("rolled-back", "hook")
    assert "its user could not be told" in site.reason()
    assert site.in_use() == entry("1")


def test_a_breach_brings_the_model_before_back_within_two_seconds(folder: Path) -> None:
    with detecting(folder) as detector:
        site = used_site(folder, detector.use)
        said_s: list[float] = []

        def breach() -> None:
            if not said_s:
                said_s.append(time.monotonic())
                detector.say(b"BREACH=psi 0.31 over 0.10\x1b\n")

        detector.on_told = breach
        assert site.apply(site.publish(model(version="2"), "2")) is Applied.REFUSED
        assert time.monotonic() - said_s[0] < ROLLED_BACK_S
        assert site.told()[-1] == ("rolled-back", "envelope")
        assert site.reason() == "the inference process says: psi 0.31 over 0.10\\e"
        assert site.in_use() == entry("1")


def test_silence_brings_the_model_before_back(folder: Path) -> None:
    with detecting(folder) as detector:
        site = used_site(folder, detector.use)
        assert site.apply(site.publish(model(version="2"), "2")) is Applied.REFUSED
        assert site.told()[-1] == ("rolled-back", "health")
        assert "silent for 1 s" in site.reason()
        assert not Path(detector.use.health).exists()


def test_who_says_that_it_is_alive_is_committed(folder: Path) -> None:
    with detecting(folder) as detector:
        site = used_site(folder, detector.use._replace(trial_s=2))
        ended = threading.Event()

        def live() -> None:
            while not ended.wait(0.2):
                with contextlib.suppress(OSError):
                    detector.say(b"WATCHDOG=1")

        speaker = threading.Thread(target=live)
        speaker.start()
        try:
            assert site.apply(site.publish(model(version="2"), "2")) is Applied.TAKEN
        finally:
            ended.set()
            speaker.join()


def test_strangers_are_not_heard(folder: Path) -> None:
    """Another user neither keeps a silent process alive nor brings a good model down."""
    with detecting(folder) as detector:
        site = used_site(folder, detector.use)

        def stranger() -> None:
            if len(detector.told) > 1:
                return
            pid = os.fork()
            if pid == 0:
                os.setresuid(65534, 65534, 65534)
                detector.say(b"BREACH=none")
                os._exit(0)
            os.waitpid(pid, 0)

        detector.on_told = stranger
        assert site.apply(site.publish(model(version="2"), "2")) is Applied.REFUSED
        assert site.told()[-1] == ("rolled-back", "health")


def test_a_probe_that_fails_brings_the_model_before_back(folder: Path) -> None:
    flag = folder / "ill"
    flag.touch()
    use = ModelUse(NAME, command=("/usr/bin/test", "!", "-e", str(flag)), trial_s=20)
    site = used_site(folder, use)
    assert site.apply(site.publish(model(version="2"), "2")) is Applied.REFUSED
    assert site.told()[-1] == ("rolled-back", "health")
    assert site.in_use() == entry("1")


def test_a_process_is_signalled_by_its_pid_file(folder: Path) -> None:
    pid_file = folder / "pid"
    pid_file.write_text(f"{os.getpid()}\n")
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        use = ModelUse(NAME, "signal", signal="USR1", pid_file=str(pid_file), user="0", trial_s=0)
        site = used_site(folder, use)
        assert site.apply(site.publish(model(version="2"), "2")) is Applied.TAKEN
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1]


def test_a_process_of_another_user_is_not_signalled(folder: Path) -> None:
    (folder / "pid").write_text(str(os.getpid()))
    use = ModelUse(NAME, "signal", pid_file=str(folder / "pid"), user="nobody", trial_s=0)
    site = used_site(folder, use)
    assert site.apply(site.publish(model(version="2"), "2")) is Applied.REFUSED
    assert "expected a process of uid" in site.reason()


@pytest.mark.parametrize("content", ["", "1", "-1", "0", "x", "99999999999"])
def test_a_pid_file_that_names_nobody_is_a_failed_hook(folder: Path, content: str) -> None:
    (folder / "pid").write_text(content)
    use = ModelUse(NAME, "signal", pid_file=str(folder / "pid"), trial_s=0)
    site = used_site(folder, use)
    assert site.apply(site.publish(model(version="2"), "2")) is Applied.REFUSED
    assert site.told()[-1] == ("rolled-back", "hook")


def test_a_trial_that_was_cut_is_rolled_back_and_told_at_the_next_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with detecting(folder) as detector:
        site = used_site(folder, detector.use._replace(health=""))
        second = site.publish(model(version="2"), "2")
        applier = model_applier.applier(site.context)
        monkeypatch.setattr(Watch, "run", _cut)
        with pytest.raises(KeyboardInterrupt):
            applier.apply(second, site.source)
        assert site.store.pointers(NAME).is_trial
        model_applier.recover(site.context)
        assert site.told()[-1] == ("rolled-back", "timeout")
        assert site.in_use() == entry("1")
        assert detector.told[-1]["digest"] == site.store.pointers(NAME).current


def _cut(_watch: object, _lasts_s: float) -> None:
    raise KeyboardInterrupt
