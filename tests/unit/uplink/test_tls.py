from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vedette.errors import UplinkError
from vedette.uplink import tls
from vedette.uplink.settings import UplinkSettings
from vedette_dev.certificates import Authority

DAY = 86400.0
BUILT_S = datetime(2026, 6, 1, tzinfo=UTC).timestamp()


def certificate(begins: str, ends: str) -> dict[str, object]:
    return {"notBefore": begins, "notAfter": ends}


GOOD = certificate("May  1 00:00:00 2026 GMT", "Aug  1 00:00:00 2026 GMT")
RENEWED = certificate("Jul  1 00:00:00 2026 GMT", "Oct  1 00:00:00 2026 GMT")
OLD = certificate("Jan  1 00:00:00 2026 GMT", "Apr  1 00:00:00 2026 GMT")


def test_within_its_dates_there_is_nothing_to_say() -> None:
    assert tls.check_dates([GOOD], BUILT_S + DAY, BUILT_S) == ""


def test_a_clock_before_the_build_is_wrong_and_forgives_a_later_beginning() -> None:
    warning = tls.check_dates([RENEWED, GOOD], 1000.0, BUILT_S)
    assert "1970-01-01" in warning


@pytest.mark.parametrize("wall_s", [0.0, 1000.0, BUILT_S - DAY, BUILT_S + DAY])
def test_what_ended_before_the_build_is_refused_by_every_clock(wall_s: float) -> None:
    with pytest.raises(UplinkError, match="expired"):
        tls.check_dates([GOOD, OLD], wall_s, BUILT_S)


def test_a_believable_clock_is_believed_both_ways() -> None:
    with pytest.raises(UplinkError, match="expired"):
        tls.check_dates([GOOD], BUILT_S + 100 * DAY, BUILT_S)
    with pytest.raises(UplinkError, match="not valid before"):
        tls.check_dates([RENEWED], BUILT_S + DAY, BUILT_S)


@pytest.mark.parametrize("text", ["", "soon", "Foo  1 00:00:00 2026 GMT", "Jan  1 0:0 2026 GMT"])
def test_a_date_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UplinkError, match="expected a date"):
        tls.check_dates([certificate(text, text)], BUILT_S, BUILT_S)


def test_dates_are_read_as_the_ssl_module_reads_them() -> None:
    for text in ("Feb 29 23:59:59 2028 GMT", "Dec  1 00:00:00 2099 GMT"):
        assert tls._unix(text) == ssl.cert_time_to_seconds(text)


def test_the_context_checks_chain_and_name_and_leaves_dates_to_us(tmp_path: Path) -> None:
    authority = Authority(tmp_path, lifetime=timedelta(days=10))
    pair = authority.client("cam-7")
    made = tls.context(
        UplinkSettings(
            socket="",
            host="broker",
            tls_ca=str(authority.file),
            tls_cert=str(pair.certificate),
            tls_key=str(pair.key),
        )
    )
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    assert made.verify_flags & 0x200000


@pytest.mark.parametrize("broken", ["tls_ca", "tls_cert", "tls_key"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, broken: str) -> None:
    authority = Authority(tmp_path)
    pair = authority.client("cam-7")
    files = {"tls_ca": authority.file, "tls_cert": pair.certificate, "tls_key": pair.key}
    files[broken].write_text("nothing of the kind")
    named = {name: str(path) for name, path in files.items()}
    with pytest.raises(UplinkError, match=files[broken].name):
        tls.context(
            UplinkSettings(
                socket="",
                host="broker",
                tls_ca=named["tls_ca"],
                tls_cert=named["tls_cert"],
                tls_key=named["tls_key"],
            )
        )
