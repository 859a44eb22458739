"""`python -m vedette_dev qemu-bench|qemu-cuts|qemu-report`: what is seen of booted images."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vedette.cli._command_line import Parser

REPOSITORY = Path(__file__).resolve().parents[3]
CUT_ARCHES = ("arm64", "amd64")
"""Whose power cuts are a promise; armhf's can be made by the same command."""


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add them."""
    _add_qemu_bench(commands)
    _add_qemu_cuts(commands)
    _add_qemu_report(commands)


def _add_qemu_bench(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser("qemu-bench", help="measure the agent on booted images")
    _add_arch(parser)
    _add_page(parser)
    _add_scratch(parser, "qemu-bench")
    parser.set_defaults(call=_qemu_bench)


def _add_qemu_cuts(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "qemu-cuts", help="record a firmware update, cut the power in every way, start some"
    )
    _add_arch(parser)
    parser.add_argument("--cuts", type=int, metavar="N", default=500, help="judged (500)")
    parser.add_argument("--boots", type=int, metavar="N", default=40, help="of these, started (40)")
    parser.add_argument(
        "--live", type=int, metavar="N", default=6, help="cuts of running devices (6)"
    )
    parser.add_argument("--seed", type=int, metavar="N", default=1, help="of chance (1)")
    parser.add_argument("--anew", action="store_true", help="record anew, whatever is there")
    parser.add_argument(
        "--lock", type=Path, metavar="FILE", help="locked (flock) while a guest runs: one at a time"
    )
    _add_page(parser)
    _add_scratch(parser, "qemu-cuts")
    parser.set_defaults(call=_qemu_cuts)


def _add_qemu_report(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "qemu-report", help="what the tests of booted images came to: times, cuts, bricks"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", default=REPOSITORY / "build/qemu-test",
        help="with the outcomes of make qemu-test; gets report.md (default: build/qemu-test)",
    )  # fmt: skip
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write the table there, too, between its marks"
    )
    parser.set_defaults(call=_qemu_report)


def _add_arch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--arch", choices=("arm64", "amd64", "armhf"), action="append", default=[],
        help="one or more (default: arm64)",
    )  # fmt: skip


def _add_page(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--page", type=Path, metavar="FILE", default=REPOSITORY / "agent/docs/images.md",
        help="where the tables go (agent/docs/images.md)",
    )  # fmt: skip


def _add_scratch(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", default=REPOSITORY / "build" / name,
        help=f"disks, logs and the report of the run (default: build/{name} of this clone)",
    )  # fmt: skip


def _qemu_bench(options: argparse.Namespace) -> int:
    from vedette_dev.device import figures  # noqa: PLC0415
    from vedette_dev.images import built  # noqa: PLC0415

    for arch in options.arch or ["arm64"]:
        found = figures.run(REPOSITORY, options.folder / arch, built(arch), print)
        figures.write(found, options.folder / "figures.jsonl")
    figures.put(figures.read(options.folder / "figures.jsonl"), options.page)
    return 0


def _qemu_cuts(options: argparse.Namespace) -> int:
    from vedette_dev.interrupts import one_interrupt  # noqa: PLC0415

    with one_interrupt("still stopping: the device is ended and the row written"):
        good = [_one_campaign(arch, options) for arch in options.arch or ["arm64"]]
    return 0 if all(good) else 1


def _one_campaign(arch: str, options: argparse.Namespace) -> bool:
    """Whether it found nothing; its row is written however it ends, of what it has by then."""
    from vedette_dev.device import campaign  # noqa: PLC0415
    from vedette_dev.images import built  # noqa: PLC0415

    request = campaign.Request(
        options.cuts, options.boots, options.live, options.seed,
        is_anew=options.anew, lock=options.lock,
    )  # fmt: skip
    folder = options.folder / arch
    print(f"campaign   {folder}: Ctrl-C ends it, the same command goes on with it")
    one = campaign.Campaign(folder, built(arch), _say)
    try:
        one.run(REPOSITORY, request)
    finally:
        report = one.report()
        if report is not None:
            campaign.tell(report, folder / campaign.REPORT, options.page)
            print(json.dumps(report, indent=1))
    return report is not None and not report["problems"]


def _qemu_report(options: argparse.Namespace) -> int:
    from vedette_dev.device import campaign, outcomes  # noqa: PLC0415

    cuts = {arch: REPOSITORY / "build/qemu-cuts" / arch / campaign.REPORT for arch in CUT_ARCHES}
    print(outcomes.write(options.folder, cuts), end="")
    print(f"report    {options.folder / 'report.md'}")
    if options.page is not None:
        outcomes.put(options.folder, options.page)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)  # whoever watches a log of hours sees where it is
