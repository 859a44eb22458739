"""The [models] table: where models lie, who may sign them, what runs them and who uses them.

Rule 1: [models.runners.NAME] is a program of this device; releases only choose among what its
`parameters` allow.
Rule 2: [models.uses.NAME] is the inference process that uses the model NAME; a model without one is
put into use, and nobody is told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, cast

from vedette.daemon.schema import (
    AbsolutePath,
    Choice,
    Many,
    Mistake,
    Number,
    describe,
    kinds,
    read_table,
    setting,
)

if TYPE_CHECKING:
    from vedette.model.model_use import ModelUse, Runner


@dataclasses.dataclass(frozen=True, slots=True)
class Models:
    """The checked table.

    Attributes:
        folder: of the store; others may read it.
        max_mb: what all models may take together.
        signature: "required" refuses models without an OpenSSF signature.
        signature_keys: ECDSA public keys in PEM whose model signatures count.
        golden: "required" refuses models without golden cases.
        memory_mb, time_s: the most that one golden run may have, whatever its release says.
    """

    folder: str = setting(AbsolutePath(), "/var/lib/vedette-models")
    max_mb: int = setting(Number(1, 1 << 20), 512)
    signature: Literal["when-present", "required"] = cast(
        "Literal['when-present', 'required']",
        setting(Choice(("when-present", "required")), "when-present"),
    )
    signature_keys: tuple[str, ...] = setting(Many(AbsolutePath(), 0, 8), ())
    golden: Literal["when-present", "required"] = cast(
        "Literal['when-present', 'required']",
        setting(Choice(("when-present", "required")), "required"),
    )
    memory_mb: int = setting(Number(16, 1 << 20), 2048)
    time_s: int = setting(Number(1, 600), 60)
    runners: Mapping[str, Runner] = dataclasses.field(default_factory=dict)
    uses: Mapping[str, ModelUse] = dataclasses.field(default_factory=dict)


NO_MODELS = Models()


def read_models(table: object, mistakes: list[Mistake]) -> Models:
    """Read the table; what is wrong is added to `mistakes` and left out."""
    if not isinstance(table, dict):
        mistakes.append(Mistake(("models",), f"expected a table, got {describe(table)}"))
        return NO_MODELS
    below = {"runners", "uses"}
    plain = {name: value for name, value in table.items() if name not in below}
    read = read_table(plain, ("models",), kinds(Models), mistakes)
    if below & table.keys():
        from vedette.daemon import model_tables  # noqa: PLC0415 (most devices have no models)

        read["runners"] = model_tables.read_runners(table.get("runners", {}), mistakes)
        read["uses"] = model_tables.read_uses(table.get("uses", {}), mistakes)
    return Models(**read)  # type: ignore[arg-type] # each was read by its kind
