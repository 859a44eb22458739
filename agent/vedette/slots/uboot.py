"""U-Boot: the trial stands in its environment, written by fw_setenv(8) of libubootenv.

Two styles (option `style`):
- `copies` (stock U-Boot without redundant environment or bootcount): two plain copies, each with a
  configuration file of its own; the boot script reads the first, and the second where the first is
  damaged. Variables bslot, tslot, tries, rolledback; script packaging/boot/uboot-slots.cmd.
- `bootcount` (CONFIG_BOOTCOUNT_LIMIT): one configuration file, whose redundancy is libubootenv's
  own. boot_slot, upgrade_available, bootcount, bootlimit; altbootcmd flips boot_slot. Which slot
  is committed stands in vedette_slot, since U-Boot itself does not know.

Rule 1: all variables of a step go in one call, hence in one write. Of two copies the second goes
first: a cut in it leaves the first as it was, a cut in the first leaves the second to be read.
Rule 2: each copy is read back, since the tool returns 0 for lines that it ignored.
Rule 3: a damaged copy is made anew from the whole one with the next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from vedette.codec.uboot_environment import decode, script
from vedette.errors import ParseError, SlotError, StoreError
from vedette.model.firmware import BootPlan
from vedette.ports.slot_backend import SlotBackend
from vedette.slots import _tool
from vedette.slots._booted import booted_slot

_COUNTS = {"": 0, "0": 0, "1": 1, "2": 2, "3": 3}
_NO_DEFAULTS = "no-defaults"


class UbootBackend(SlotBackend):
    """Options: style, configuration files, tools, partitions, and the word that names a slot."""

    options: ClassVar[Mapping[str, str]] = {
        "style": "copies",
        "config": "/etc/fw_env.config",
        "config_second": "/etc/fw_env1.config",
        "slot_a": "/dev/disk/by-partlabel/rootfs-a",
        "slot_b": "/dev/disk/by-partlabel/rootfs-b",
        "parameter": "slot",
        "command_line": "",
        "fw_setenv": "",
        "fw_printenv": "",
    }

    def slots(self) -> tuple[str, str]:
        """They are called a and b."""
        return "a", "b"

    def booted(self) -> str:
        """As the kernel's command line has it."""
        return booted_slot(self._option("parameter"), self.slots(), self._option("command_line"))

    def plan(self) -> BootPlan:
        """As the environment has it that U-Boot will read."""
        values = self._read()
        plan = _copies_plan(values) if self._has_copies() else _bootcount_plan(values)
        if plan is None:
            shown = {name: values[name] for name in sorted(values) if "slot" in name}
            raise SlotError(
                f"{self._option('config')}: expected slots a and b and a number of tries, got "
                f"{shown!a:.200}; run once: fw_setenv with the variables of {self._option('style')}"
            )
        return plan

    def place(self, slot: str) -> Path:
        """The slot's partition."""
        self.other(slot)
        return Path(self._option(f"slot_{slot}")).resolve()

    def _arm(self, slot: str, tries: int) -> None:
        if self._has_copies():
            changes = {
                "bslot": self.other(slot), "tslot": slot, "tries": str(tries), "rolledback": "",
            }  # fmt: skip
        else:
            changes = {
                "vedette_slot": self.other(slot), "boot_slot": slot, "upgrade_available": "1",
                "bootcount": "0", "bootlimit": str(tries),
            }  # fmt: skip
        self._write(changes)

    def _commit(self, slot: str) -> None:
        if self._has_copies():
            changes = {"bslot": slot, "tslot": "", "tries": "", "rolledback": ""}
        else:
            changes = {
                "vedette_slot": slot, "boot_slot": slot, "upgrade_available": "0",
                "bootcount": "0",
            }  # fmt: skip
        self._write(changes)

    def _option(self, name: str) -> str:
        return self.context.options.get(name) or self.options[name]

    def _has_copies(self) -> bool:
        style = self._option("style")
        if style not in {"copies", "bootcount"}:
            raise SlotError(f'slots: expected the style "copies" or "bootcount", got {style!a}')
        return style == "copies"

    def _configs(self) -> list[str]:
        names = ["config", "config_second"] if self._has_copies() else ["config"]
        return [self._option(name) for name in names]

    def _read(self) -> dict[str, str]:
        """The first copy that is whole."""
        problems = []
        for config in self._configs():
            try:
                return self._read_copy(config)
            except SlotError as error:
                problems.append(str(error))
        raise SlotError(f"no copy of the environment can be read: {'; '.join(problems)}")

    def _read_copy(self, config: str) -> dict[str, str]:
        tool = _tool.found(self._option("fw_printenv"), "fw_printenv")
        try:
            return decode(_tool.run([tool, "-c", config], with_errors=False))
        except (ParseError, SlotError) as error:
            raise SlotError(f"{config}: the environment cannot be read: {error}") from error

    def _write(self, changes: Mapping[str, str]) -> None:
        whole = self._read()
        for config in reversed(self._configs()):
            self._write_copy(config, changes, whole)

    def _write_copy(
        self, config: str, changes: Mapping[str, str], whole: Mapping[str, str]
    ) -> None:
        given = dict(changes)
        try:
            self._read_copy(config)
        except SlotError:
            given = {**whole, **changes}
        argv = [
            _tool.found(self._option("fw_setenv"), "fw_setenv"),
            "-c", config, "-f", str(self._no_defaults()), "-s", "-",
        ]  # fmt: skip
        try:
            _tool.run(argv, given=script(given))
        except ParseError as error:
            raise SlotError(f"{config}: {error}") from error
        found = self._read_copy(config)
        wrong = [name for name, value in given.items() if found.get(name, "") != value]
        if wrong:
            raise SlotError(
                f"{config}: expected {wrong[0]}={given[wrong[0]]!a}, it reads back as "
                f"{found.get(wrong[0], '')!a}; the boot loader still has the old state"
            )

    def _no_defaults(self) -> Path:
        """An empty default environment: without one the tool refuses to mend a damaged copy."""
        path = self.context.folder / _NO_DEFAULTS
        if not path.exists():
            try:
                self.context.write_file(path, b"")
            except StoreError as error:
                raise SlotError(str(error)) from error
        return path


def _copies_plan(values: Mapping[str, str]) -> BootPlan | None:
    committed, trial = values.get("bslot", ""), values.get("tslot", "")
    tries = _COUNTS.get(values.get("tries", ""))
    if tries is None or {committed, trial or "a"} - {"a", "b"}:
        return None
    return BootPlan(committed, trial, tries if trial else 0)


def _bootcount_plan(values: Mapping[str, str]) -> BootPlan | None:
    next_slot = values.get("boot_slot", "")
    committed = values.get("vedette_slot", "") or next_slot
    counts = [values.get(name, "") or "0" for name in ("bootlimit", "bootcount")]
    if {committed, next_slot} - {"a", "b"} or not all(text.isdecimal() for text in counts):
        return None
    if values.get("upgrade_available") != "1" or next_slot == committed:
        return BootPlan(committed)
    limit, count = map(int, counts)
    return BootPlan(committed, next_slot, max(0, limit - count))


slot_backend_class = UbootBackend
