"""What `make qemu` refuses before anything is built."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from vedette.errors import RequestError
from vedette_dev.guests import by_hand
from vedette_dev.images import target
from vedette_dev.images.target import ARCHES


@pytest.mark.parametrize("arch", ARCHES)
def test_a_device_has_the_memory_that_its_boot_loader_needs(
    arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    least_mb = target(arch).least_mb
    with pytest.raises(RequestError, match=f"expected at least {least_mb} MB for {arch}, got"):
        by_hand.run(tmp_path, arch, memory_mb=least_mb - 1)
    with pytest.raises(RequestError, match="needs a terminal"):
        by_hand.run(tmp_path, arch, memory_mb=least_mb)


def test_the_loader_of_a_pc_needs_more_than_a_small_device_has() -> None:
    # Its script is read to 112 MiB; what it keeps at the end begins 35 MiB before the end.
    assert target("amd64").least_mb >= 112 + 35
    assert target("armhf").least_mb == target("arm64").least_mb == 128
