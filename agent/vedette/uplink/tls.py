"""TLS for devices whose clock may not be set: chain and name always, dates as far as time is known.

Rule 1: chain, host name and our own certificate are checked at every handshake, whatever the time.
Rule 2: OpenSSL does not look at dates; `check_dates` does, for every certificate of the chain:
one that ended before max(wall clock, build time) has surely expired and is refused.
Rule 3: one that begins later than the wall clock is refused while the clock is believable; a clock
before the build time is surely wrong, says nothing about beginnings, and is reported.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from vedette.errors import UplinkError
from vedette.uplink.settings import UplinkSettings

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME, openssl/x509_vfy.h; the ssl module has no name for it."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def context(settings: UplinkSettings) -> ssl.SSLContext:
    """A client context: TLS 1.2 or newer, the given CA alone, our certificate.

    Raises:
        UplinkError: a file is missing, unreadable or not what it should be.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    try:
        made.load_verify_locations(settings.tls_ca)
    except (OSError, ssl.SSLError) as error:
        raise UplinkError(
            f"{settings.tls_ca}: expected CA certificates in PEM, got: {error}"
        ) from error
    if settings.tls_cert:
        _load_own(made, settings)
    return made


def check_dates(
    certificates: Sequence[Mapping[str, object]], wall_s: float, earliest_s: float
) -> str:
    """Judge the validity of a verified chain.

    Args:
        certificates: as SSLSocket.getpeercert() gives them, leaf first.
        wall_s: Unix time as this device believes it.
        earliest_s: Unix time of the build.

    Returns:
        A warning for people, or "".

    Raises:
        UplinkError: a certificate has surely expired, or by a believable clock not begun.
    """
    is_clock_wrong = wall_s < earliest_s
    floor_s = max(wall_s, earliest_s)
    for certificate in certificates:
        begins, ends = str(certificate.get("notBefore")), str(certificate.get("notAfter"))
        if _unix(ends) < floor_s:
            raise UplinkError(
                f"the broker's certificate chain expired: valid until {ends}, it is at least "
                f"{_shown(floor_s)}; renew it"
            )
        if _unix(begins) > floor_s and not is_clock_wrong:
            raise UplinkError(
                f"the broker's certificate chain is not valid before {begins}, our clock says "
                f"{_shown(wall_s)}; set the clock of this device"
            )
    if is_clock_wrong:
        return f"the clock is wrong: it says {_shown(wall_s)}, this agent is newer"
    return ""


def verified_chain(stream: ssl.SSLSocket) -> list[Mapping[str, object]]:
    """The chain that the handshake verified, leaf first, root included."""
    # Public only since Python 3.13, and there as DER, which would have to be parsed once more.
    chain = stream._sslobj.get_verified_chain()  # type: ignore[attr-defined] # noqa: SLF001
    return [certificate.get_info() for certificate in chain]


def _load_own(made: ssl.SSLContext, settings: UplinkSettings) -> None:
    try:
        made.load_cert_chain(settings.tls_cert, settings.tls_key, password=_no_passphrase)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise UplinkError(
            f"{settings.tls_cert} and {settings.tls_key}: expected a certificate and its key "
            f"without passphrase in PEM, readable by the uplink's user, got: {error}"
        ) from error


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase, and nobody is here to type it")


def _unix(text: str) -> float:
    """Unix time of "Nov 21 13:05:46 2026 GMT", as the ssl module writes it.

    ssl.cert_time_to_seconds would load locale, calendar and regular expressions for it.
    """
    try:
        month, day, clock, year, _gmt = text.split()
        hour, minute, second = (int(part) for part in clock.split(":"))
        moment = datetime(
            int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC
        )
    except ValueError as error:
        raise UplinkError(f"expected a date in the broker's certificate, got {text!a}") from error
    return moment.timestamp()


def _shown(wall_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(max(wall_s, 0)))
