"""What the folder of one model content holds, and whether it is what its manifest says.

Rule: closed world: what the manifest does not name is no part of the model, whatever it is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vedette.errors import StoreError, TrustError
from vedette.model.model_manifest import Blob, ModelManifest

MANIFEST = "manifest.json"
DIRECTORY = "model"
SIGNATURE = "model.sig"
GOLDEN = "golden"
ORDER = "order"
"""Its number among the contents of the store: a device's clock says little about what is older."""

PUBLIC_FOLDER = 0o755
"""The inference process is another user."""
READ_ONLY = 0o444


def layout(manifest: ModelManifest) -> dict[str, Blob]:
    """Where the content of a manifest lies in its folder."""
    places = {f"{DIRECTORY}/{one.path}": one.blob for one in manifest.files}
    for case in manifest.golden:
        places[f"{GOLDEN}/{case.name}.input"] = case.input
        places[f"{GOLDEN}/{case.name}.expected"] = case.expected
    if manifest.signature is not None:
        places[SIGNATURE] = manifest.signature
    return places


def check(folder: Path, manifest: ModelManifest, title: str) -> int:
    """Compare every file of a content with its manifest; the bytes that were read.

    Args:
        title: of the model, for messages.

    Raises:
        TrustError: a file was changed, is missing, or is there without being listed.
        StoreError: one cannot be read.
    """
    expected = layout(manifest)
    wrong = sorted((set(files(folder)) - {MANIFEST, ORDER}) ^ expected.keys())
    if wrong:
        what = "is missing" if wrong[0] in expected else "is there and not of this model"
        raise TrustError(f"{title}: {wrong[0]!a} {what}")
    for path, blob in expected.items():
        if blob_of(folder / path) != blob:
            raise TrustError(f"{title}: {path!a} was changed at rest")
    return sum(blob.length for blob in expected.values())


def blob_of(path: Path) -> Blob:
    """Length and digest of a file as it is.

    Raises:
        TrustError: it is a link.
        StoreError: it cannot be read.
    """
    if path.is_symlink():
        raise TrustError(f"{path}: expected a file, it is a link")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Blob(os.fstat(file.fileno()).st_size, digest)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error


def files(folder: Path) -> Iterator[str]:
    """All that is no folder, relative; links and devices too, so that they count as strangers."""
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in (*names, *links):
            yield Path(place, name).relative_to(folder).as_posix()


def size(folder: Path) -> int:
    """Bytes of all files below, each inode once."""
    seen: dict[tuple[int, int], int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                found = Path(place, name).lstat()
                seen[found.st_dev, found.st_ino] = found.st_size
    return sum(seen.values())
