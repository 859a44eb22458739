"""`python -m tests.fuzz`: every target of this folder for a while, one after the other."""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sys

from tests.fuzz import engine

DEFAULT_SECONDS = 20


def main(argv: list[str] | None = None) -> int:
    """Run the targets; returns 1 when one is broken."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=DEFAULT_SECONDS, help="for each target")
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=engine.names(), help="may be repeated"
    )
    parser.add_argument("--seed", type=int, help="of the mutations, to repeat a run")
    parser.add_argument("--guided", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.guided:
        _guided(options.guided, options.seconds)
        return 0
    names = options.only or engine.names()
    is_guided = importlib.util.find_spec("atheris") is not None
    print(
        f"{len(names)} targets, {options.seconds} s each, "
        + ("guided by coverage (atheris)" if is_guided else "mutated without coverage")
    )
    run = _run_guided if is_guided else _run_mutated
    broken = [name for name in names if not run(name, options)]
    print(f"broken: {', '.join(broken)}" if broken else f"all {len(names)} held")
    return 1 if broken else 0


def _run_mutated(name: str, options: argparse.Namespace) -> bool:
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
    count = 0
    try:
        for count in engine.by_mutation(name, options.seconds, random.Random(seed)):
            print(f"\r{name}: {count:,} inputs", end="", flush=True)
    except AssertionError as error:
        print(f"\r{error} (seed {seed})")
        return False
    print(f"\r{name}: {count:,} inputs, held")
    return True


def _run_guided(name: str, options: argparse.Namespace) -> bool:
    """One process for each: libFuzzer leaves by exit."""
    command = [sys.executable, "-m", "tests.fuzz", "--guided", name]
    print(f"{name}: {options.seconds} s", end="", flush=True)
    done = subprocess.run(
        [*command, "--seconds", str(options.seconds)],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )
    lines = done.stderr.strip().splitlines()
    if done.returncode == 0:
        print(f"\r{name}: held; {_last(lines)}")
        return True
    print(f"\r{name}: BROKEN; input in {engine.CORPUS / name}")
    print("\n".join(f"    {line}" for line in (done.stdout.splitlines() + lines)[-25:]))
    return False


def _last(lines: list[str]) -> str:
    told = [line for line in lines if "DONE" in line or "Done" in line]
    return told[-1].strip() if told else "no statistics"


def _guided(name: str, seconds: int) -> None:
    import atheris  # noqa: PLC0415 (optional: there is not a build for each machine)

    with atheris.instrument_imports(include=["vedette"], enable_loader_override=False):
        module = engine.load(name)
    corpus = engine.CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(getattr(module, "SEEDS", ())):
        (corpus / f"seed-{index}").write_bytes(seed)
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={engine.MAX_BYTES}",
        f"-timeout={int(engine.SLOW_S)}",
        "-rss_limit_mb=1024",
        f"-artifact_prefix={corpus}/",
        str(corpus),
    ]
    atheris.Setup(arguments, module.target)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
