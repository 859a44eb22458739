"""A runner whose "model" says what it does wrong: `plain_runner.py ENTRY INPUT`.

The entry is JSON, {"act": NAME, "factor": NUMBER}; a good model answers {"scaled": [...]}. It needs
nothing but an interpreter, so that any user can run it.
"""

# A program of its own, as others write them.
# ruff: noqa: PTH118, PTH120, PTH123, PTH208, T201, SIM115, S606
import contextlib
import json
import os
import socket
import sys
import time


def main() -> int:
    with open(sys.argv[1], encoding="ascii") as file:
        model = json.load(file)
    with open(sys.argv[2], encoding="ascii") as file:
        given = json.load(file)
    act = model.get("act", "answer")
    if act != "answer":
        ACTS[act]()
    if act in TOLD:
        print(json.dumps(TOLD[act]()))
        return 0
    print(json.dumps({"scaled": [number * model["factor"] for number in given["numbers"]]}))
    return 0


def hang() -> None:
    time.sleep(3600)


def hang_with_closed_output() -> None:
    os.close(1)
    os.close(2)
    time.sleep(3600)


def burn() -> None:
    while True:
        pass


def eat() -> None:
    held = [bytearray(1 << 20) for _ in range(1 << 20)]
    del held


def breed() -> None:
    """Children that ignore everything and hold the output open."""
    for _ in range(1000):
        try:
            pid = os.fork()
        except OSError:
            break
        if pid == 0:
            os.setsid()
            time.sleep(3600)


def print_without_end() -> None:
    while True:
        sys.stdout.write("x" * 65536)


def crash() -> None:
    os.abort()


def fail() -> None:
    print("no such operator\x1b[31m", file=sys.stderr)
    sys.exit(3)


def say_nothing() -> None:
    sys.exit(0)


def say_nan() -> None:
    print('{"scaled": [NaN]}')
    sys.exit(0)


def nothing() -> None:
    pass


def reach() -> dict[str, object]:
    """What it can see and change of the world around it."""
    status = dict(line.partition(":")[::2] for line in open("/proc/self/status", encoding="ascii"))
    return {
        "uid": os.getuid(),
        "groups": os.getgroups(),
        "capabilities": status["CapEff"].strip() + status["CapPrm"].strip(),
        "no_new_privileges": status["NoNewPrivs"].strip(),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "connected": _connected(),
        "written": [place for place in sys.argv[3:] if _writes(place)],
        "pids": sorted(int(name) for name in os.listdir("/proc") if name.isdigit())[:3],
        "run": os.listdir("/run"),
        "executed": _executes(os.path.dirname(sys.argv[1])),
        "descriptors": len(os.listdir("/proc/self/fd")) - 1,
    }


def _connected() -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 22), 1):
        return True
    with contextlib.suppress(OSError), socket.create_connection(("192.0.2.1", 80), 1):
        return True
    return False


def _writes(place: str) -> bool:
    try:
        with open(os.path.join(place, "written"), "w", encoding="ascii"):
            return True
    except OSError:
        return False


def _executes(folder: str) -> bool:
    try:
        return os.spawnv(os.P_WAIT, os.path.join(folder, "program"), ["program"]) != 127
    except OSError:
        return False


ACTS = {
    "hang": hang, "hang-closed": hang_with_closed_output, "burn": burn, "eat": eat, "breed": breed,
    "flood": print_without_end, "crash": crash, "fail": fail, "silent": say_nothing,
    "nan": say_nan, "reach": nothing,
}  # fmt: skip
TOLD = {"reach": reach}


if __name__ == "__main__":
    sys.exit(main())
