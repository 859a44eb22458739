"""One tree of errors, divided by who is at fault.

Rule 1: a message says what was expected, what came, where, and what to do.
Rule 2: input from outside raises an InputError and never crashes the agent; a broken
invariant raises RuntimeError and does.
"""


class VedetteError(Exception):
    """Anything Vedette raises on purpose."""


class InputError(VedetteError):
    """What came from outside is wrong; the sender or author has to mend it."""


class ParseError(InputError):
    """Bytes or text do not have the form their format prescribes.

    Attributes:
        offset: where in the input, in bytes (text: characters), the form was first broken.
    """

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(f"{message} (at offset {offset})")
        self.offset = offset


class ConfigError(InputError):
    """The configuration file cannot be used; the message names file and line."""


class RuleError(InputError):
    """A rule or a bundle of rules cannot be compiled or run."""


class TrustError(InputError):
    """A signature, key, counter or date does not allow what was asked; nothing was accepted."""


class RequestError(InputError):
    """A command or a control request cannot be carried out as it was asked."""


class DeviceError(VedetteError):
    """This device cannot do what was asked of it: kernel, permission, disk, another program."""


class SensorError(DeviceError):
    """A sensor cannot see; the message says why and what would lift it."""


class ResponseError(DeviceError):
    """A response cannot or may not be carried out; the message is told as its outcome."""


class StoreError(DeviceError):
    """The disk did not take or give what was asked (full, read-only, damaged)."""


class SlotError(DeviceError):
    """The boot loader or a slot did not do what was asked; the device starts what it started."""


class UplinkError(DeviceError):
    """The way out is closed; what was to be sent stays in the journal."""


class FetchError(DeviceError):
    """A release or its metadata could not be fetched; nothing has changed: try again later."""


class AbsentError(FetchError):
    """The source has no file of that name."""
