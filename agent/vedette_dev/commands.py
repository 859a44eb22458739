"""`python -m vedette_dev run|attack|release-demo|...`: what the Makefile's targets call.

Rule: each command pays for its own imports.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from vedette.cli._command_line import Parser
from vedette.daemon.last_words import EXIT_ERROR, guarded
from vedette_dev.device import commands as device

DESCRIPTION = "What the targets of the Makefile call."
REPOSITORY = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of them; returns the exit code."""
    parser = Parser(prog="vedette_dev", description=DESCRIPTION)
    commands = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", parser_class=Parser)
    _add_run(commands)
    _add_attack(commands)
    _add_atomic(commands)
    _add_matrix(commands)
    _add_release_demo(commands)
    _add_deb(commands)
    _add_images(commands)
    _add_qemu(commands)
    _add_firmware_source(commands)
    device.add(commands)
    _add_docker_test(commands)
    options = parser.parse_args(arguments)
    if not hasattr(options, "call"):
        parser.print_help()
        return EXIT_ERROR
    return guarded(lambda: int(options.call(options)))


def _add_run(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser("run", help="guard this machine until Ctrl-C")
    parser.add_argument(
        "--seconds", type=_positive, metavar="N", help="stop by itself after N seconds of watching"
    )
    _add_folder(parser)
    parser.set_defaults(call=_run)


def _add_attack(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser("attack", help="play harmless attacks on the running agent")
    parser.add_argument("--only", metavar="NAME", action="append", default=[])
    parser.add_argument(
        "--mode",
        choices=("observe", "enforce"),
        default="observe",
        help="enforce: the agent contains each of them, and it is undone afterwards",
    )
    _add_folder(parser)
    parser.set_defaults(call=_attack)


def _add_atomic(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "atomic", help="run a corpus of attack commands in throwaway roots, say what was detected"
    )
    parser.add_argument(
        "--corpus",
        type=Path,
        metavar="FILE",
        default=REPOSITORY.parent / "shared/corpora/atomic-linux.json",
        help="JSON with `tests` (default: ../shared/corpora/atomic-linux.json)",
    )
    parser.add_argument("--only", metavar="TECHNIQUE", action="append", default=[])
    parser.add_argument(
        "--rules", type=Path, metavar="DIR", default=REPOSITORY / "rules", help="default: rules"
    )
    parser.add_argument(
        "--host-programs",
        action="store_true",
        help="give the commands this host's programs instead of those of a small Debian",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="run nothing: judge the last run's recording by the rules as they are now",
    )
    parser.add_argument("--disable", metavar="SENSOR", action="append", default=[])
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the figures as Markdown")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", default=REPOSITORY / "build/atomic",
        help="identity, recording and figures of the run (default: build/atomic of this clone)",
    )  # fmt: skip
    parser.set_defaults(call=_atomic)


def _add_matrix(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "matrix", help="play all attacks on every tier, write which of them tells of which"
    )
    page = REPOSITORY / "agent/docs/detections.md"
    parser.add_argument("--page", type=Path, metavar="FILE", default=page)
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", default=REPOSITORY / "build/matrix",
        help="keys, journal and logs of the runs (default: build/matrix of this clone)",
    )  # fmt: skip
    parser.set_defaults(call=_matrix)


def _add_release_demo(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "release-demo", help="keys, repository, releases on a device: good ones, bad ones"
    )
    parser.add_argument("--json", action="store_true", help="one JSON line for each chapter")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", default=REPOSITORY / "build/release-demo",
        help="keys, repository and the device's state (default: build/release-demo of this clone)",
    )  # fmt: skip
    parser.add_argument(
        "--rules", type=Path, metavar="DIR", default=REPOSITORY / "rules/persistence",
        help="what the device begins with (default: those about persistence)",
    )  # fmt: skip
    parser.add_argument("--short", action="store_true", help="only as far as the release of rules")
    parser.set_defaults(call=_release_demo)


def _add_deb(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser("deb", help="build Debian packages")
    parser.add_argument("--arch", action="append", metavar="ARCH", help="default: all there are")
    parser.add_argument("--suite", action="append", metavar="SUITE", help="default: all there are")
    parser.add_argument(
        "--into",
        type=Path,
        metavar="DIR",
        default=REPOSITORY / "build/deb",
        help="default: build/deb",
    )
    parser.add_argument("--version", default="", metavar="X.Y.Z", help="instead of the agent's own")
    parser.set_defaults(call=_deb)


def _add_images(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser("images", help="build disks of devices, with real A/B boot")
    parser.add_argument("--arch", action="append", metavar="ARCH", help="default: all there are")
    parser.add_argument(
        "--check", action="store_true", help="build nothing; say what this machine lacks for it"
    )
    parser.set_defaults(call=_images)


def _add_qemu(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser("qemu", help="a console on a device in QEMU, with a broker here")
    parser.add_argument("--arch", default="arm64", metavar="ARCH", help="default: arm64")
    parser.add_argument("--memory", type=int, default=256, metavar="MB", help="default: 256")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", default=REPOSITORY / "build/qemu",
        help="the device's disk, keys and broker (default: build/qemu of this clone)",
    )  # fmt: skip
    parser.set_defaults(call=_qemu)


def _add_firmware_source(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "firmware-source", help="write the archive that OpenWrt and Yocto build from"
    )
    parser.add_argument(
        "--into", type=Path, metavar="DIR", default=REPOSITORY / "build/firmware",
        help="default: build/firmware",
    )  # fmt: skip
    parser.set_defaults(call=_firmware_source)


def _add_docker_test(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser("docker-test", help="make qemu-test in containers")
    parser.add_argument("--arch", action="append", metavar="ARCH", help="default: all there are")
    parser.add_argument("words", nargs="*", metavar="NAME=VALUE", help="for make qemu-test")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", default=REPOSITORY / "build/docker-test",
        help="for the report (default: build/docker-test of this clone)",
    )  # fmt: skip
    parser.set_defaults(call=_docker_test)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        default=REPOSITORY / ".dev",
        help="keys, journal and logs of the run (default: .dev of this clone)",
    )


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise ValueError(text)
    return value


def _run(options: argparse.Namespace) -> int:
    from vedette_dev import run  # noqa: PLC0415

    return run.run(REPOSITORY, options.folder, seconds=options.seconds)


def _attack(options: argparse.Namespace) -> int:
    from vedette_dev import attack  # noqa: PLC0415

    is_enforced = options.mode == "enforce"
    return attack.run(REPOSITORY, options.folder, options.only, is_enforced=is_enforced)


def _atomic(options: argparse.Namespace) -> int:
    from vedette_dev import atomic  # noqa: PLC0415

    return atomic.run(
        atomic.Request(
            repository=REPOSITORY,
            folder=options.folder,
            corpus=options.corpus,
            rules=options.rules,
            has_base=not options.host_programs,
            is_again=options.again,
            only=tuple(options.only),
            disabled=tuple(options.disable),
            page=options.page,
        )
    )


def _release_demo(options: argparse.Namespace) -> int:
    from vedette_dev import release_demo  # noqa: PLC0415

    options.folder.parent.mkdir(parents=True, exist_ok=True)
    return release_demo.run(
        options.folder, options.rules, is_json=options.json, is_short=options.short
    )


def _deb(options: argparse.Namespace) -> int:
    from vedette_dev.packages import deb  # noqa: PLC0415
    from vedette_dev.packages.target import ARCHITECTURES, SUITES, target  # noqa: PLC0415

    suites, arches = options.suite or SUITES, options.arch or ARCHITECTURES
    for wanted in [target(arch, suite) for suite in suites for arch in arches]:
        deb.build(REPOSITORY, wanted, options.into, version=options.version, say=print)
    return 0


def _images(options: argparse.Namespace) -> int:
    from vedette_dev import images  # noqa: PLC0415

    for arch in options.arch or images.ARCHES:
        if options.check:
            images.check(arch)
            continue
        images.export(images.built(arch))
        if arch == "amd64":
            images.export(images.built(arch, loader="grub"))
    return 0


def _qemu(options: argparse.Namespace) -> int:
    from vedette_dev.guests import by_hand  # noqa: PLC0415

    return by_hand.run(options.folder, options.arch, memory_mb=options.memory)


def _firmware_source(options: argparse.Namespace) -> int:
    from vedette_dev.packages import source_archive  # noqa: PLC0415

    source_archive.build(REPOSITORY, options.into, say=print)
    return 0


def _docker_test(options: argparse.Namespace) -> int:
    from vedette_dev.docker import device_tests  # noqa: PLC0415

    request = device_tests.Request(options.arch or (), options.words, options.folder)
    return device_tests.run(request)


def _matrix(options: argparse.Namespace) -> int:
    from vedette_dev import matrix  # noqa: PLC0415

    return matrix.run(REPOSITORY, options.folder, options.page)
