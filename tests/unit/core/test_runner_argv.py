"""A runner's argv: the device's own, in which a release only chooses among what is allowed."""

from __future__ import annotations

import pytest

from vedette.core.runner_argv import RunnerError, choose, fill
from vedette.model.model_manifest import Blob, ModelFile, ModelManifest, RunLimits
from vedette.model.model_use import Allowed, Runner

RUNNER = Runner(
    "onnx",
    ("/usr/lib/onnx", "{entry}", "--data={model}", "{input}", "--threads={parameters.threads}"),
    {"threads": Allowed(low=1, high=4), "precision": Allowed(words=("fp16", "fp32"))},
)
RUNNERS = {"onnx": RUNNER}


def manifest(runner: str = "onnx", **parameters: str) -> ModelManifest:
    file = ModelFile("m.onnx", Blob(1, "0" * 64))
    limits = RunLimits(1, 1 << 20, 1)
    return ModelManifest("person", "1", (file,), "m.onnx", runner, limits, parameters=parameters)


def test_what_is_allowed_is_filled_in() -> None:
    parameters = {"threads": "4", "precision": "fp16"}
    runner = choose(manifest(**parameters), RUNNERS)
    argv = fill(runner, model="/m", entry="/m/a b.onnx", golden_input="/in", parameters=parameters)
    assert argv == ("/usr/lib/onnx", "/m/a b.onnx", "--data=/m", "/in", "--threads=4")


def test_a_value_is_never_read_as_a_template() -> None:
    runner = RUNNER._replace(argv=("/x", "{entry}"))
    argv = fill(runner, model="/m", entry="/m/{input}", golden_input="/in", parameters={})
    assert argv == ("/x", "/m/{input}")


REFUSED = {
    "an unknown runner": (manifest("python"), "expected a runner of this device"),
    "a number too high": (manifest(threads="5"), "expected 1 to 4"),
    "a number too low": (manifest(threads="0"), "expected 1 to 4"),
    "a number written otherwise": (manifest(threads="+1"), "does not allow"),
    "a number with a zero in front": (manifest(threads="01"), "does not allow"),
    "digits of another script": (manifest(threads="\u0663"), "does not allow"),
    "a flag": (manifest(threads="--exec"), "does not allow"),
    "a word that is not allowed": (manifest(threads="1", precision="int8"), "fp16 or fp32"),
    "a parameter that is none": (manifest(threads="1", argv="x"), "takes no parameter"),
    "a parameter missing": (manifest(), "needs the parameter threads"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_allowed_is_refused(case: str) -> None:
    found, words = REFUSED[case]
    with pytest.raises(RunnerError, match=words):
        choose(found, RUNNERS)
