"""What the kernel says about a descriptor of ours: how many marks or watches it holds (proc(5))."""

from __future__ import annotations


def marks_of(descriptor: int, word: bytes) -> int:
    """The number of lines that begin with a word.

    Args:
        descriptor: of an inotify instance or a fanotify group.
        word: such as b"inotify wd:" or b"fanotify sdev:".

    Raises:
        OSError: /proc is not mounted, or the descriptor is closed.
    """
    with open(f"/proc/self/fdinfo/{descriptor}", "rb") as stream:  # noqa: PTH123 - one read
        return (b"\n" + stream.read()).count(b"\n" + word)
