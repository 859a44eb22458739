"""Golden tests in the real worker: its own user, no network, little of everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.simulators.model_content import make, stage
from tests.system import _worker
from tests.system._worker import PACKAGING, PYTHON, plain_models, public_folder, tried

from vedette.daemon.model_options import Models
from vedette.daemon.models.golden_test import GRACE_S
from vedette.daemon.models.golden_test import test as golden_test
from vedette.model.model_manifest import RunLimits
from vedette.model.model_use import Allowed, Runner
from vedette.store.models import ModelStore

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(_worker.refusal()), reason=_worker.refusal() or "none"),
]
SHORT: Final = RunLimits(700, 256 << 20, 4096)
LONG: Final = RunLimits(20_000, 128 << 20, 4096)


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as made:
        yield made


def test_a_model_that_answers_rightly_passes(folder: Path) -> None:
    verdict = tried(plain_models(folder), cases=3)
    assert verdict.reason == ""
    assert [one.name for one in verdict.results] == ["case-0", "case-1", "case-2"]
    assert all(0 < one.peak_bytes < 64 << 20 for one in verdict.results)


def test_a_number_beyond_its_tolerance_is_named(folder: Path) -> None:
    verdict = tried(plain_models(folder), expected={"scaled": [2, 5.002, -6]})
    assert verdict.reason == "case-0: answer.scaled[1]: expected 5.002, got 5.0"
    assert not verdict.is_limit


WRONG: Final = {
    "hang": ("did not end in its time", True),
    "hang-closed": ("did not end in its time", True),
    "burn": ("time", True),
    "eat": ("MemoryError", True),
    "breed": ("did not end in its time", True),
    "flood": ("printed more than 4096 bytes", True),
    "crash": ("SIGABRT", False),
    "fail": ("status 3: no such operator\\e[31m", False),
    "silent": ("did not answer with JSON", False),
    "nan": ("finite", False),
}


@pytest.mark.parametrize("act", WRONG)
def test_a_model_that_misbehaves_is_refused_in_its_time(folder: Path, act: str) -> None:
    began_s = time.monotonic()
    reason, is_limit = WRONG[act]
    limits = SHORT if "time" in reason else LONG
    verdict = tried(plain_models(folder), act, limits=limits)
    assert reason in verdict.reason
    assert verdict.is_limit is is_limit
    assert time.monotonic() - began_s < limits.time_ms / 1000 + GRACE_S
    assert not strangers(), "something of the runner is left"


def strangers() -> list[str]:
    """Processes of the worker's user."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                is_his = place.stat().st_uid == int(_worker.USER)
            except OSError:
                continue
            if is_his:
                found.append(place.name)
    return found


def test_what_a_runner_can_reach(folder: Path) -> None:
    places = [str(folder), str(folder / "models"), "/tmp", "/var/tmp", "/etc", "/run"]
    open_to_all = folder / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    models = plain_models(folder, *places, str(open_to_all))
    program = b"#!/bin/sh\nexit 0\n"
    expected = {
        "uid": int(_worker.USER), "groups": [int(_worker.USER)], "capabilities": "0" * 32,
        "no_new_privileges": "1", "interfaces": ["lo"], "connected": False, "written": ["/run"],
        "pids": [1, 2], "run": ["written"], "executed": False, "descriptors": 3,
    }  # fmt: skip
    store = ModelStore(Path(models.folder), max_bytes=1 << 24)
    files = {"model.json": json.dumps({"act": "reach"}).encode(), "program": program}
    golden = {"reach": (b'{"numbers": []}', json.dumps(expected).encode())}
    digest = stage(store, make(files, golden=golden, limits=RunLimits(5000, 256 << 20, 4096)))
    (store.path("person", digest) / "model/program").chmod(0o755)  # as if the store had let it
    verdict = golden_test(
        store.manifest("person", digest), str(store.path("person", digest)), models, _worker.USER
    )
    assert verdict.reason == ""
    assert list(open_to_all.iterdir()) == []


def test_root_is_no_user_for_it(folder: Path) -> None:
    models = plain_models(folder)
    found = tried(models, user="root")
    assert "user of their own, not as root" in found.reason


def test_a_user_that_is_not_there_is_told(folder: Path) -> None:
    models = plain_models(folder)
    found = tried(models, user="nosuch")
    assert 'no user "nosuch"' in found.reason


def test_a_runner_that_is_not_there_is_told(folder: Path) -> None:
    models = Models(
        folder=str(folder / "models"), runners={"plain": Runner("plain", ("/no/such/runner",), {})},
    )  # fmt: skip
    assert "/no/such/runner cannot be started" in tried(models).reason


def test_the_confined_installer_can_still_try_a_model(folder: Path) -> None:
    """Without a network and with the capabilities alone that it keeps."""
    trial = (
        "import sys; sys.path[:0] = ['agent', '.']\n"
        "from pathlib import Path\n"
        "from tests.system._worker import plain_models, tried\n"
        "from vedette.daemon.installer.confinement import confine\n"
        "problems = confine()\n"
        f"verdict = tried(plain_models(Path({str(folder)!r})), user={_worker.USER!r})\n"
        "print([problems, verdict.reason, len(verdict.results)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", trial], cwd=PACKAGING.parent, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout == "[[], '', 1]\n", done.stderr


def test_the_worker_ends_with_who_started_it(folder: Path) -> None:
    models = plain_models(folder)
    starter = (
        "import sys; sys.path[:0] = ['agent', '.']\n"
        "from pathlib import Path\n"
        "from tests.system._worker import plain_models, tried\n"
        "from vedette.model.model_manifest import RunLimits\n"
        f"tried(plain_models(Path({str(folder)!r})), 'hang',"
        f" limits=RunLimits(60000, 256 << 20, 4096), user={_worker.USER!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", starter], cwd=PACKAGING.parent)
    assert models.folder
    until(lambda: bool(strangers()))
    process.kill()
    process.wait()
    until(lambda: not strangers())


def until(holds: object) -> None:
    deadline_s = time.monotonic() + 60
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline_s
        os.sched_yield()


onnx_python = subprocess.run(
    [PYTHON, "-c", "import sys; print(sys.version_info[:2])"],
    capture_output=True, text=True, check=False,
).stdout.strip() if Path(PYTHON).exists() else ""  # fmt: skip


@pytest.mark.skipif(
    onnx_python != str(sys.version_info[:2]),
    reason=f"{PYTHON} is {onnx_python}: onnxruntime of this environment is for another version",
)
def test_onnxruntime_runs_a_real_model_in_the_worker(folder: Path) -> None:
    helper = pytest.importorskip("onnx.helper")
    models = onnx_models(folder)
    data = linear_model(helper, weight=3.0)
    right, wrong = {"y": [[3.5, 6.5]]}, {"y": [[3.5, 6.6]]}
    passed, refused = (onnx_verdict(folder, models, data, one) for one in (right, wrong))
    assert passed == ""
    assert refused.startswith("case: answer.y[0][1]: expected 6.6, got 6.5")
    assert "it ended with status" in onnx_verdict(folder, models, b"no model", right)


def onnx_models(folder: Path) -> Models:
    packages = sysconfig.get_paths()["purelib"]
    argv = (
        "/usr/bin/env", f"PYTHONPATH={packages}", PYTHON,
        str(PACKAGING / "runners/onnx_runner.py"), "{entry}", "{input}",
        "--threads={parameters.threads}",
    )  # fmt: skip
    runner = Runner("onnx", argv, {"threads": Allowed(low=1, high=2)})
    return Models(folder=str(folder / "models"), runners={"onnx": runner})


def onnx_verdict(folder: Path, models: Models, data: bytes, expected: object) -> str:
    given = {"x": {"type": "float32", "shape": [1, 2], "data": [1.0, 2.0]}}
    made = make(
        {"model.onnx": data},
        golden={"case": (json.dumps(given).encode(), json.dumps(expected).encode())},
        runner="onnx", parameters={"threads": "1"}, limits=RunLimits(30_000, 2 << 30, 65536),
    )  # fmt: skip
    store = ModelStore(folder / "models", max_bytes=1 << 26)
    digest = stage(store, made)
    place = store.path("person", digest)
    return golden_test(store.manifest("person", digest), str(place), models, _worker.USER).reason


def linear_model(helper: object, *, weight: float) -> bytes:
    """y = weight * x + 0.5."""
    import onnx  # noqa: PLC0415

    del helper
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Mul", ["x", "w"], ["s"]),
            onnx.helper.make_node("Add", ["s", "b"], ["y"]),
        ],
        "linear",
        [onnx.helper.make_tensor_value_info("x", kind, [1, 2])],
        [onnx.helper.make_tensor_value_info("y", kind, [1, 2])],
        [
            onnx.helper.make_tensor("w", kind, [1], [weight]),
            onnx.helper.make_tensor("b", kind, [1], [0.5]),
        ],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    made = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    data: bytes = made.SerializeToString()
    return data
