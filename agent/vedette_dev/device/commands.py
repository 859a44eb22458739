"""`python -m vedette_dev qemu-bench|qemu-cuts`: what is measured and cut on booted images."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vedette.cli._command_line import Parser

REPOSITORY = Path(__file__).resolve().parents[3]


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add them."""
    _add_qemu_bench(commands)
    _add_qemu_cuts(commands)


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
    parser.add_argument("--seed", type=int, metavar="N", default=1, help="of chance (1)")
    _add_page(parser)
    _add_scratch(parser, "qemu-cuts")
    parser.set_defaults(call=_qemu_cuts)


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
    from vedette_dev.device import campaign  # noqa: PLC0415
    from vedette_dev.images import built  # noqa: PLC0415

    request = campaign.Request(options.cuts, options.boots, options.seed)
    is_good = True
    for arch in options.arch or ["arm64"]:
        report = campaign.run(REPOSITORY, options.folder / arch, built(arch), request, print)
        campaign.tell(report, options.folder / f"{arch}.json", options.page)
        print(json.dumps(report, indent=1))
        is_good = is_good and not report["problems"]
    return 0 if is_good else 1
