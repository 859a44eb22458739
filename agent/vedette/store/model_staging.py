"""A model that comes in: blob by blob, from nobody trusted, until it is whole.

Rule 1: nothing is written that the manifest does not name, and no byte beyond the length that it
gives; whether all of it fits is known before the first one.
Rule 2: a blob that is here already, in another content of the model, is not fetched: it gets one
more name, after it was read and compared.
Rule 3: what was cut goes on where it ended: `Incoming.offset` says where.
Rule 4: a content appears under its digest whole, compared and durable, or not at all.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from vedette.codec import model_manifest
from vedette.errors import ParseError, StoreError, TrustError
from vedette.model.model_manifest import Blob
from vedette.store import durable, model_content
from vedette.store.model_content import MANIFEST, ORDER, PUBLIC_FOLDER, READ_ONLY
from vedette.store.models import STAGING, ModelStore

_PART = ".part"
_BLOBS = "blobs"
_TREE = "tree"
_BLOCK = 1 << 20


class Staging:
    """One model on its way in.

    Args:
        store: that it comes into.
        data: the manifest, verified by who calls.

    Attributes:
        manifest: as it was read.
        digest: of it, in hex: the name of the content.

    Raises:
        ParseError: it is no manifest.
        StoreError: it does not fit, or the disk failed; what is in use is not touched.
    """

    def __init__(self, store: ModelStore, data: bytes) -> None:
        self.manifest = model_manifest.decode(data)
        self.digest = hashlib.sha256(data).hexdigest()
        self._store, self._data = store, data
        self._name = self.manifest.name
        self._place = store.folder / self._name / STAGING / self.digest
        self._target = store.path(self._name, self.digest)
        if not self.is_whole:
            self._begin()

    @property
    def is_whole(self) -> bool:
        """Whether the content is in the store already."""
        return self._target.is_dir()

    def missing(self) -> list[Blob]:
        """What has to be fetched yet, in the order of the digests."""
        if self.is_whole:
            return []
        blobs = self.manifest.blobs
        return [blobs[one] for one in sorted(blobs) if not self._blob(blobs[one]).exists()]

    def incoming(self, blob: Blob) -> Incoming:
        """A missing blob, to be written from its offset on.

        Raises:
            StoreError: the disk does not take or give it.
        """
        return Incoming(self._blob(blob), blob)

    def finish(self) -> str:
        """Make the content of what came; returns its digest.

        Raises:
            StoreError: something is missing, or the disk failed: then there is no such content.
        """
        if self.is_whole:
            return self.digest
        missing = self.missing()
        if missing:
            raise StoreError(f"{self._name}: expected all of the model, {len(missing)} are missing")
        tree = self._place / _TREE
        durable.remove_tree(tree)
        durable.make_folder(tree, PUBLIC_FOLDER)
        for path, blob in model_content.layout(self.manifest).items():
            for folder in reversed(Path(path).parents[:-1]):
                durable.make_folder(tree / folder, PUBLIC_FOLDER)
            durable.link(self._blob(blob), tree / path)
        for name, data in ((MANIFEST, self._data), (ORDER, b"%d" % self._store.next_order())):
            durable.write(tree / name, data)
            (tree / name).chmod(READ_ONLY)
        durable.sync_tree(tree)
        durable.make_folder(self._target.parent, PUBLIC_FOLDER)
        durable.rename(tree, self._target)
        self.discard()
        return self.digest

    def discard(self) -> None:
        """Remove what is staged.

        Raises:
            StoreError: the disk did not let it go.
        """
        durable.remove_tree(self._place)

    def _begin(self) -> None:
        home = self._store.folder / self._name
        for folder in (self._store.folder, home):
            durable.make_folder(folder, PUBLIC_FOLDER)
        staging = home / STAGING
        if staging.exists():
            for other in staging.iterdir():  # one model comes in at a time
                if other.name != self.digest:
                    durable.remove_tree(other)
        durable.make_folder(self._place / _BLOBS)
        for blob, known in self._known().items():
            if not self._blob(blob).exists() and model_content.blob_of(known) == blob:
                durable.link(known, self._blob(blob))
        need = sum(blob.length for blob in self.missing()) - model_content.size(self._place)
        need += sum(path.stat().st_size for path in self._whole())
        try:
            self._store.make_room(self._name, max(0, need) + len(self._data))
        except StoreError:
            self.discard()
            raise

    def _known(self) -> dict[Blob, Path]:
        """Blobs of this manifest that a content of the model has, and where."""
        found: dict[Blob, Path] = {}
        wanted = set(self.manifest.blobs.values())
        for digest in self._store.digests(self._name):
            try:
                places = model_content.layout(self._store.manifest(self._name, digest))
            except (ParseError, StoreError, TrustError):  # damaged: nothing of it is used again
                continue
            folder = self._store.path(self._name, digest)
            found |= {blob: folder / path for path, blob in places.items() if blob in wanted}
        return found

    def _whole(self) -> list[Path]:
        return [one for one in (self._place / _BLOBS).iterdir() if one.suffix != _PART]

    def _blob(self, blob: Blob) -> Path:
        return self._place / _BLOBS / blob.sha256


class Incoming:
    """One blob that is written; a context that keeps what came, to be gone on with.

    Args:
        path: that it gets once it is whole and is what it should be.
        blob: what it should be.

    Attributes:
        offset: of the next byte.
    """

    def __init__(self, path: Path, blob: Blob) -> None:
        self._path, self._blob = path, blob
        self._part = path.with_name(path.name + _PART)
        self._digest = hashlib.sha256()
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = durable.disk.open(self._part, flags, 0o600)
        except OSError as error:
            raise StoreError(f"{self._part}: cannot be opened: {error.strerror}") from error
        self.offset = self._began = self._read_again()

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            TrustError: more came than the manifest says, or, with the last byte, something else.
            StoreError: the disk did not take them, or, with the last byte, what was gone on with
                is something else: nothing is left of it.
        """
        if self.offset + len(data) > self._blob.length:
            raise TrustError(
                f"expected {self._blob.length} bytes of {self._blob.sha256[:16]}..., got more"
            )
        try:
            durable.write_at(self._descriptor, data, self.offset)
        except OSError as error:
            raise StoreError(f"{self._part}: cannot be written: {error.strerror}") from error
        self._digest.update(data)
        self.offset += len(data)
        if self.offset == self._blob.length:
            self._complete()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def _read_again(self) -> int:
        """What came before a cut is read, since nobody knows what the cut left of it."""
        offset = 0
        while block := os.pread(self._descriptor, _BLOCK, offset):
            self._digest.update(block)
            offset += len(block)
        if offset < self._blob.length:
            return offset
        durable.disk.ftruncate(self._descriptor, 0)
        self._digest = hashlib.sha256()
        return 0

    def _complete(self) -> None:
        found = self._digest.hexdigest()
        if found != self._blob.sha256:
            durable.remove(self._part)  # else each further try would begin with the same bytes
            if self._began:  # a power cut may have torn what was there: that is nobody's forgery
                raise StoreError(
                    f"{self._part}: expected {self._began} whole bytes from before, they or the "
                    "rest are damaged; fetch it again from its start"
                )
            raise TrustError(
                f"expected content with the digest {self._blob.sha256}, it has {found}"
            )
        try:
            os.fchmod(self._descriptor, READ_ONLY)
            durable.sync(self._descriptor)
        except OSError as error:
            raise StoreError(f"{self._part}: cannot be synced: {error.strerror}") from error
        durable.rename(self._part, self._path)
