"""The operator's desk of a release demo: keys, a repository, and what is published from it.

Rule: everything is done by the commands that an operator has; each is shown as it could be typed.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path

from vedette.cli._command_line import main as vedette
from vedette.errors import DeviceError


class Desk:
    """A folder with keys, repository, and what is being made.

    Args:
        folder: the operator's own.
        served: where the published repository lies for devices; others may read it.
        show: takes each command line.
        hardware: what the devices are that firmwares are made for.
        is_kept: the folder is an earlier desk's, to go on with.
    """

    def __init__(
        self,
        folder: Path,
        served: Path,
        show: Callable[[str], None],
        *,
        hardware: str = "demo-camera",
        is_kept: bool = False,
    ) -> None:
        self.folder, self.served, self._show = folder, served, show
        self._hardware = hardware
        self.keys, self.repository = folder / "keys", folder / "repository"
        if is_kept:
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)

    @property
    def root(self) -> Path:
        """The root metadata that a device is made with."""
        return self.repository / "device" / "root.json"

    @property
    def trust(self) -> Path:
        """The trust document that a device is made with."""
        return self.repository / "device" / "trust.json"

    def run(self, *words: str) -> str:
        """Run `vedette WORDS`; returns what it printed.

        Raises:
            DeviceError: it did not end well.
        """
        self._show("vedette " + " ".join(self._shown(word) for word in words))
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            code = vedette(list(words))
        if code:
            raise DeviceError(f"vedette {' '.join(words)} ended with {code}")
        return output.getvalue()

    def make_keys(self) -> None:
        """Two keys of the root, which only count together; one for each other role."""
        self.run("keys", "create", "root-a", "root-b", "--no-password", *self._keys())

    def make_repository(self) -> None:
        """With a key of its own for each role; two for the root."""
        self.run(
            "repo", "init", "--create-keys", "--no-password", "--role", "root=root-a,root-b:2",
            *self._both(),
        )  # fmt: skip
        self._serve()

    def build_rules(self, rules: Path, counter: int) -> Path:
        """A signed bundle with its samples beside it."""
        bundle = self.folder / f"rules-{counter}.bundle"
        self.run(
            "rules", "build", str(rules), "-o", str(bundle), "--samples", f"{bundle}.samples",
            "--key", str(self.keys / "rules.key"), "--counter", str(counter),
        )  # fmt: skip
        return bundle

    def release_rules(self, bundle: Path) -> None:
        """Publish a bundle."""
        self.run(
            "release", "rules", str(bundle), "--samples", f"{bundle}.samples", "--name", "fleet",
            *self._both(),
        )  # fmt: skip
        self.publish()

    def release_firmware(self, image: Path, version: str) -> None:
        """Publish an image for our hardware; the next one need not wait for its late rollback."""
        self.run(
            "release", "firmware", str(image), "--name", "camera", "--version", version,
            "--hardware", self._hardware, "--late-rollback-hours", "0", *self._both(),
        )  # fmt: skip
        self.publish()

    def release_model(self, model: Path, golden: Path, version: str) -> None:
        """Publish a model with its golden cases."""
        self.run(
            "release", "model", str(model), "--name", "person", "--version", version,
            "--entry", "weights.txt", "--runner", "linear", "--golden", str(golden),
            "--relative", "0.001", *self._both(),
        )  # fmt: skip
        self.publish()

    def publish(self) -> None:
        """Sign what is staged, and put it where devices look."""
        self.run("repo", "publish", *self._both())
        self._serve()

    def copy_served(self, name: str) -> Path:
        """A copy of what is published now, as anybody could have kept one."""
        copy = self.served.with_name(name)
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.served, copy)
        return copy

    def serve_instead(self, copy: Path) -> None:
        """A mirror that gives out what somebody kept."""
        shutil.rmtree(self.served)
        shutil.copytree(copy, self.served)

    def _serve(self) -> None:
        shutil.rmtree(self.served, ignore_errors=True)
        shutil.copytree(self.repository / "public", self.served)
        for path in (self.served, *self.served.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def _keys(self) -> tuple[str, ...]:
        return "--keys", str(self.keys)

    def _both(self) -> tuple[str, ...]:
        return (*self._keys(), "--repo", str(self.repository))

    def _shown(self, word: str) -> str:
        return word.replace(f"{self.folder}/", "")
