"""Names that differ at each run become equal; names that say something stay apart."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.core.generalisation import generalise, is_transient

SAME = [
    "/usr/sbin/httpd", "/bin/busybox", "/usr/bin/2to3", "/tmp/upgrade.sh", "/tmp/upgrade",
    "/run/NetworkManager/helper", "/var/run/sshd", "/opt/app7/bin/run", "/proc/self/exe",
    "/memfd:payload", "/tmp/a1b2c", "/home/u/xyz123", "",
]  # fmt: skip

GENERAL = {
    "/tmp/xyz123": "/tmp/{random}",
    "/tmp/tmp.aB3dE9xYzQ": "/tmp/tmp.{random}",
    "/dev/shm/xKqPzR": "/dev/shm/{random}",
    "/var/tmp/rpm-20250101.sh": "/var/tmp/rpm-{random}.sh",
    "/run/user/1000/app": "/run/user/{uid}/app",
    "/proc/4711/exe": "/proc/{pid}/exe",
    "/proc/4711/fd/9": "/proc/{pid}/fd/{n}",
    "/dev/fd/63": "/dev/fd/{n}",
    "/proc/self/fd/3": "/proc/self/fd/{n}",
    "/usr/bin/python3.11": "/usr/bin/python{version}",
    "/opt/app-1.20.3/bin/run": "/opt/app-{version}/bin/run",
    "/tmp/app-1.2.3/run": "/tmp/app-{version}/run",
}

APART = [
    ("/usr/bin/httpd", "/usr/sbin/httpd"),
    ("/usr/bin/tool-a8f3k2", "/usr/bin/tool-b9c4d1"),
    ("/tmp/{random}", "/tmp/xyz123"),
    ("/usr/bin/python{version}", "/usr/bin/python3.11"),
    ("/proc/{pid}/exe", "/proc/1/exe"),
    ("/tmp/{brace}random}", "/tmp/{random}"),
    ("/proc/12a/exe", "/proc/12/exe"),
    ("/tmp/x/xyz123", "/tmp/xyz123"),
]


@pytest.mark.parametrize("path", SAME)
def test_what_somebody_named_stays_as_it_is(path: str) -> None:
    assert generalise(path) == path


@pytest.mark.parametrize(("path", "name"), GENERAL.items())
def test_what_differs_at_each_run_gets_a_placeholder(path: str, name: str) -> None:
    assert generalise(path) == name


@pytest.mark.parametrize(("first", "second"), APART)
def test_two_different_things_never_share_a_name(first: str, second: str) -> None:
    assert generalise(first) != generalise(second)


@given(st.text(alphabet="ab{}random/tmp.1", max_size=40))
def test_no_real_path_passes_for_a_placeholder(path: str) -> None:
    """Whatever holds a placeholder was made by us, from characters that match it."""
    for folder in ("/usr/", "/tmp/", "/proc/"):
        name = generalise(folder + path)
        braces = re.findall(r"\{[^{}]*\}?", name)
        assert all(re.fullmatch(r"\{(brace|random|version|pid|n|uid)\}", brace) for brace in braces)
        assert name.count("{brace}") == path.count("{")


def test_places_where_any_process_may_put_a_program() -> None:
    assert is_transient("/tmp/{random}")
    assert is_transient("/dev/shm/x")
    assert is_transient("/memfd:x")
    assert not is_transient("/usr/bin/x")
