"""A disk whose power is cut: what may be on it after a prefix of the operations.

The model is meant to be worse than any file system we run on (ext4, f2fs, UBIFS, XFS):

Rule 1: bytes, lengths and names are safe when the file (for bytes and length) or the folder (for
names) was synced after them, and not before. Syncing a file says nothing of its name.
Rule 2: what is not safe may be there or not, each change apart from all others and in any
combination: a later change without an earlier one too.
Rule 3: a write that is not safe may be torn: each aligned block of 512 bytes old or new by itself.
Beyond the old end, blocks that did not arrive read as zeros or as rubbish, or the file ends before.
Rule 4: a rename within a folder, or that replaces a name, happens whole or not at all. One from
folder to folder may, once only the new folder was synced, be there under both names.
Rule 5: a name that was kept while its file's content was not leads to an empty file.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tests.powercut.operations import (
    Linked,
    Made,
    Marked,
    Operation,
    Pointed,
    RecordError,
    Removed,
    Renamed,
    Resized,
    Synced,
    Written,
)

BLOCK: Final = 512
ROOT: Final = 0
RUBBISH: Final = 0xA5


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


Node: TypeAlias = "int | Link"
"""What a name leads to: the number of a file or folder, or a link."""

Image: TypeAlias = dict[str, bytes | Link | None]
"""Relative path to content; None for a folder. Every folder comes before what it holds."""


@dataclass(slots=True)
class Bytes:
    """A change of a file's content: a write (`data`) or a new size."""

    node: int
    offset: int = 0
    data: bytes = b""
    size: int | None = None

    @property
    def blocks(self) -> int:
        """How many aligned blocks a write touches; 0 for a new size."""
        if not self.data:
            return 0
        return (self.offset + len(self.data) - 1) // BLOCK - self.offset // BLOCK + 1


@dataclass(slots=True)
class Names:
    """Changes of names that happen together: (folder, name) to what it leads to, or None."""

    entries: list[tuple[int, str, Node | None]]


Change: TypeAlias = Bytes | Names


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a change that was not safe.

    Attributes:
        is_there: False: as if it had not been.
        blocks: of a write: bit n says that its n-th block arrived; None for all.
        is_grown: of a torn write: the file's length grew as if all had arrived.
        filler: what a block reads as that did not arrive, beyond the old end.
    """

    is_there: bool = True
    blocks: int | None = None
    is_grown: bool = True
    filler: int = 0

    def __str__(self) -> str:
        if not self.is_there:
            return "dropped"
        if self.blocks is None:
            return "kept"
        return f"torn, blocks {self.blocks:#x}" + ("" if self.is_grown else ", file short")


KEPT: Final = Fate()
DROPPED: Final = Fate(is_there=False)
EMPTY: Final = Fate(blocks=0)
SHORT: Final = Fate(blocks=0, is_grown=False)
UNFILLED: Final = Fate(blocks=0, filler=RUBBISH)


@dataclass(slots=True)
class _Content:
    folders: dict[int, dict[str, Node]]
    files: dict[int, bytearray]


@dataclass(slots=True)
class Cut:
    """The disk after a prefix of the operations.

    Attributes:
        done: how many operations were made.
        marks: what the program had said until then.
        pending: changes that are not safe, oldest first.
    """

    done: int
    marks: tuple[str, ...]
    pending: tuple[Change, ...]
    _safe: _Content = field(repr=False)
    _is_folder: Container[int] = field(repr=False)

    def image(self, fates: Sequence[Fate]) -> Image:
        """What is found after the cut, if each pending change met its fate (one for each)."""
        folders = {number: dict(names) for number, names in self._safe.folders.items()}
        files = dict(self._safe.files)
        own: set[int] = set()
        for change, fate in zip(self.pending, fates, strict=True):
            if not fate.is_there:
                continue
            if isinstance(change, Names):
                _rename(folders, change)
            else:
                if change.node not in own:
                    files[change.node] = bytearray(files.get(change.node, b""))
                    own.add(change.node)
                _change(files[change.node], change, fate)
        image: Image = {}
        self._collect(folders, files, ROOT, "", image)
        return image

    def _collect(
        self,
        folders: Mapping[int, Mapping[str, Node]],
        files: Mapping[int, bytes | bytearray],
        folder: int,
        path: str,
        image: Image,
    ) -> None:
        for name, node in sorted(folders.get(folder, {}).items(), key=lambda entry: entry[0]):
            whole = f"{path}/{name}" if path else name
            if isinstance(node, Link):
                image[whole] = node
            elif node in self._is_folder:
                image[whole] = None
                self._collect(folders, files, node, whole, image)
            else:
                image[whole] = bytes(files.get(node, b""))


class Disk:
    """Follows a program's operations; `cuts` yields the disk after each of them.

    Args:
        root: the recorded folder.
        root_inode: of the folder itself.
        before: what was in it before the first operation, all of it safe: path relative to root,
            inode and content (None for a folder, `Link` for a link); parents first.
    """

    def __init__(
        self,
        root: str,
        root_inode: int,
        before: Sequence[tuple[str, int, bytes | Link | None]] = (),
    ) -> None:
        self._root = root.rstrip("/")
        self._nodes = {root_inode: ROOT}
        self._next = 1
        self._folders: dict[int, dict[str, Node]] = {ROOT: {}}
        self._safe = _Content({ROOT: {}}, {})
        self._pending: list[Change] = []
        self._marks: list[str] = []
        for path, inode, content in before:
            self._put_before(path, inode, content)

    def cuts(self, operations: Sequence[Operation]) -> Iterator[Cut]:
        """The disk before the first operation and after each of them."""
        yield self._cut(0)
        for done, operation in enumerate(operations, 1):
            self._do(operation)
            yield self._cut(done)

    def _cut(self, done: int) -> Cut:
        return Cut(done, tuple(self._marks), tuple(self._pending), self._safe, self._folders)

    def _do(self, operation: Operation) -> None:
        match operation:
            case Made(inode, path, is_folder):
                self._add(path, self._new_node(inode, is_folder=is_folder))
            case Written(inode, offset, data):
                self._pending.append(Bytes(self._node(inode), offset, data))
            case Resized(inode, size):
                self._pending.append(Bytes(self._node(inode), size=size))
            case Synced(inode):
                self._sync(None if inode == 0 else self._node(inode))
            case Renamed(old, new, is_exchange):
                self._renamed(old, new, is_exchange=is_exchange)
            case Linked(old, new):
                self._add(new, self._found(old))
            case Pointed(target, path):
                self._add(path, Link(target))
            case Removed(path):
                folder, name = self._place(path)
                self._name([(folder, name, None)])
            case Marked(text):
                self._marks.append(text)

    def _new_node(self, inode: int, *, is_folder: bool) -> int:
        node = self._nodes[inode] = self._next
        self._next += 1
        if is_folder:
            self._folders[node] = {}
        return node

    def _node(self, inode: int) -> int:
        if inode not in self._nodes:
            raise RecordError(f"expected a known file, got inode {inode}: was it made unseen?")
        return self._nodes[inode]

    def _place(self, path: str) -> tuple[int, str]:
        """The folder and the name of a path, as they are now for the program."""
        if not path.startswith(self._root + "/"):
            raise RecordError(f"expected a path below {self._root}, got {path}")
        *parents, name = path[len(self._root) + 1 :].split("/")
        folder = ROOT
        for parent in parents:
            node = self._folders[folder].get(parent)
            if not isinstance(node, int) or node not in self._folders:
                raise RecordError(f"expected a folder {parent} in {path}")
            folder = node
        return folder, name

    def _found(self, path: str) -> Node:
        folder, name = self._place(path)
        if name not in self._folders[folder]:
            raise RecordError(f"expected {path} to be there")
        return self._folders[folder][name]

    def _add(self, path: str, node: Node) -> None:
        folder, name = self._place(path)
        self._name([(folder, name, node)])

    def _renamed(self, old: str, new: str, *, is_exchange: bool) -> None:
        moved = self._found(old)
        replaced = self._found(new) if is_exchange else None
        (old_folder, old_name), (new_folder, new_name) = self._place(old), self._place(new)
        if (old_folder, old_name) == (new_folder, new_name):
            return
        self._name([(new_folder, new_name, moved), (old_folder, old_name, replaced)])

    def _name(self, entries: list[tuple[int, str, Node | None]]) -> None:
        change = Names(entries)
        _rename(self._folders, change)
        self._pending.append(change)

    def _sync(self, node: int | None) -> None:
        """Make safe what this file or folder had pending; older cuts keep what they saw."""
        safe = _Content(
            {number: dict(names) for number, names in self._safe.folders.items()},
            dict(self._safe.files),
        )
        left: list[Change] = []
        for change in self._pending:
            if isinstance(change, Names):
                done, rest = _split(change, node)
                _rename(safe.folders, Names(done))
                if rest:
                    left.append(Names(rest))
            elif node is None or change.node == node:
                content = bytearray(safe.files.get(change.node, b""))
                _change(content, change, KEPT)
                safe.files[change.node] = content
            else:
                left.append(change)
        self._safe, self._pending = safe, left

    def _put_before(self, path: str, inode: int, content: bytes | Link | None) -> None:
        folder, name = self._place(f"{self._root}/{path}")
        if isinstance(content, Link):
            node: Node = content
        else:
            node = self._nodes.get(inode) or self._new_node(inode, is_folder=content is None)
        self._folders[folder][name] = node
        self._safe.folders.setdefault(folder, {})[name] = node
        if isinstance(node, int) and isinstance(content, bytes):
            self._safe.files[node] = bytearray(content)


def _split(
    change: Names, node: int | None
) -> tuple[list[tuple[int, str, Node | None]], list[tuple[int, str, Node | None]]]:
    """What of a change of names a sync of a folder makes safe, and what it leaves.

    The new name of a file comes first: where the old name's folder is synced alone, neither is
    safe, since a file system that lost the file would break rename(2).
    """
    if node is None or all(folder == node for folder, _, _ in change.entries):
        return change.entries, []
    if change.entries[0][0] == node:
        return change.entries[:1], change.entries[1:]
    return [], change.entries


def _rename(folders: dict[int, dict[str, Node]], change: Names) -> None:
    for folder, name, node in change.entries:
        names = folders.setdefault(folder, {})
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _change(content: bytearray, change: Bytes, fate: Fate) -> None:
    if change.size is not None:
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
    elif fate.blocks is None:
        content.extend(bytes(max(0, change.offset - len(content))))
        content[change.offset : change.offset + len(change.data)] = change.data
    else:
        _tear(content, change, fate.blocks, fate)


def _tear(content: bytearray, change: Bytes, blocks: int, fate: Fate) -> None:
    end, first, reached = change.offset + len(change.data), change.offset // BLOCK, len(content)
    content.extend(bytes([fate.filler]) * max(0, end - len(content)))
    for number in range(change.blocks):
        if blocks >> number & 1:
            start = max(change.offset, (first + number) * BLOCK)
            stop = min(end, (first + number + 1) * BLOCK)
            content[start:stop] = change.data[start - change.offset : stop - change.offset]
            reached = max(reached, stop)
    if not fate.is_grown:
        del content[reached:]


def write_image(image: Image, folder: str, root: str = "") -> None:
    """Lay an image out in an empty folder, as its owner would find it after the cut.

    Args:
        root: the recorded folder: links that led into it lead into `folder`.
    """
    for path, content in image.items():
        whole = posixpath.join(folder, path)
        if content is None:
            os.mkdir(whole, 0o700)  # noqa: PTH102 (ten thousand times)
        elif isinstance(content, Link):
            is_inside = bool(root) and content.target.startswith(f"{root}/")
            target = folder + content.target[len(root) :] if is_inside else content.target
            os.symlink(target, whole)  # noqa: PTH211
        else:
            descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, content)
            os.close(descriptor)
