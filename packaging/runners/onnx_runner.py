"""Runs an ONNX model once: `onnx_runner.py MODEL INPUT [--threads N]`.

An example of a runner (agent/docs/models.md): a program of the device that Vedette's worker starts
for each golden case. Its interpreter has onnxruntime and numpy, which the agent never imports.

INPUT is JSON, {"NAME": {"type": "float32", "shape": [1, 4], "data": [0.1, ...]}}; the answer is
JSON on standard output, {"NAME": [[0.25, ...]]}, one list for each output of the model.
"""

import argparse
import json
import sys

import numpy as np
import onnxruntime

TYPES = frozenset({"float32", "float64", "int8", "uint8", "int32", "int64", "bool"})


def main() -> int:
    """Load, run, print; 0 when it answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("input")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(args.model, options, providers=providers)
    with open(args.input, "rb") as file:  # noqa: PTH123
        given = json.load(file)
    feeds = {name: _tensor(name, value) for name, value in given.items()}
    names = [one.name for one in session.get_outputs()]
    answers = session.run(names, feeds)
    json.dump({name: _plain(one) for name, one in zip(names, answers, strict=True)}, sys.stdout)
    return 0


def _plain(answer: object) -> object:
    return answer.tolist() if isinstance(answer, np.ndarray) else answer


def _tensor(name: str, value: object) -> "np.ndarray":
    if not isinstance(value, dict) or value.get("type") not in TYPES:
        raise SystemExit(f"{name}: expected type, shape and data, with a type of {sorted(TYPES)}")
    return np.array(value["data"], dtype=value["type"]).reshape(value["shape"])


if __name__ == "__main__":
    sys.exit(main())
