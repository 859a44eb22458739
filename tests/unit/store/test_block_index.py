"""An index file is the signed one as a whole, or refused."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from tests.simulators.images import image, index_file, sha256

from vedette.codec.block_index import block_digests
from vedette.errors import StoreError, TrustError
from vedette.store.block_index import BlockIndexFile

CONTENT = image(1, 10 * 4096 + 5)


def test_its_parts_are_those_of_the_image(tmp_path: Path) -> None:
    path = index_file(tmp_path, CONTENT)
    whole = block_digests(CONTENT)
    with closing(BlockIndexFile(path, image_bytes=len(CONTENT), sha256=sha256(whole))) as index:
        assert index.part(0, 11) == whole
        assert index.part(3, 2) == whole[96:160]
        assert index.part(9, 5) == whole[288:]
        assert index.part(20, 5) == b""


@pytest.mark.parametrize("size", [10 * 4096, 11 * 4096 + 1, 2**32 + len(CONTENT)])
def test_that_of_an_image_of_another_size_is_refused(tmp_path: Path, size: int) -> None:
    path = index_file(tmp_path, CONTENT)
    with pytest.raises(TrustError, match=r"expected .* bytes with SHA-256"):
        BlockIndexFile(path, image_bytes=size, sha256=sha256(path.read_bytes()))


def test_altered_missing_and_linked_ones_are_refused(tmp_path: Path) -> None:
    path = index_file(tmp_path, CONTENT)
    digest = sha256(path.read_bytes())
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    with pytest.raises(TrustError):
        BlockIndexFile(path, image_bytes=len(CONTENT), sha256=digest)
    with pytest.raises(StoreError):
        BlockIndexFile(tmp_path / "none", image_bytes=len(CONTENT), sha256=digest)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(StoreError):
        BlockIndexFile(tmp_path / "link", image_bytes=len(CONTENT), sha256=digest)
