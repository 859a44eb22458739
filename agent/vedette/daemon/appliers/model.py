"""Applies a release of a model: fetched, verified, tried in the worker, put into use, watched.

Rule 1: nothing of it is in use before its files, its OpenSSF signature where it has one, and its
golden cases are right; what fails is removed.
Rule 2: a hook that fails and an inference process that does badly during the trial bring the model
before back at once; then its user is told again.
Rule 3: whoever rolled it back meanwhile (an operator, a response) is right: it is not committed.
"""

from __future__ import annotations

from pathlib import Path

from vedette.codec import model_manifest
from vedette.codec.text import shorten
from vedette.core.runner_argv import RunnerError, choose
from vedette.daemon.appliers import _staged
from vedette.daemon.appliers.applier import Applied, Context
from vedette.daemon.models import going_back, golden_test
from vedette.daemon.models.hook import HookError
from vedette.daemon.models.in_use import DeviceModels
from vedette.daemon.models.watch import Problem, Watch
from vedette.errors import ParseError, RequestError, StoreError, TrustError
from vedette.model.model_manifest import Blob, ModelManifest
from vedette.model.release import Release, ReleaseKind
from vedette.model.update import Cause, Step
from vedette.ports.release_source import ReleaseSource
from vedette.store import durable
from vedette.store.model_content import DIRECTORY, SIGNATURE
from vedette.store.model_staging import Staging
from vedette.trust import model_signature
from vedette.trust.model_signature import MAX_KEY_BYTES, ModelKey, read_key

PIECE_BYTES = 256 << 10
MAX_SIGNATURE_BYTES = 4 << 20
MAX_REASON = 500


class _RefusedError(Exception):
    """The release may not be used; nothing that is in use was changed."""

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(cause, shorten(reason, MAX_REASON))


class ModelApplier:
    """As daemon/appliers/applier.py promises."""

    def __init__(self, context: Context) -> None:
        self._options, self._teller = context.config.models, context.teller
        self._worker = context.config.updates.worker
        self._folder = context.staging / str(ReleaseKind.MODEL)
        self._models = DeviceModels(self._options)
        self._store = self._models.store

    def apply(self, release: Release, source: ReleaseSource) -> Applied:
        """Apply a release."""
        try:
            data, manifest = self._manifest(release, source)
            digest = self._bring_in(data, manifest, source)
            if self._store.pointers(release.name).current == digest:
                self._teller.release(Step.COMMITTED, release, reason="it is in use already")
                return Applied.TAKEN
            self._teller.release(Step.FETCHED, release)
            facts = self._try(manifest, digest)
        except _RefusedError as error:
            cause, reason = error.problem
            self._teller.release(Step.REFUSED, release, cause=cause, reason=reason)
            return Applied.REFUSED
        self._teller.release(Step.WRITTEN, release, facts=facts)
        return self._activate(release, digest)

    def _manifest(self, release: Release, source: ReleaseSource) -> tuple[bytes, ModelManifest]:
        path = _staged.fetch(source, release.target, release.kind, self._folder)
        data = _staged.content(path, model_manifest.MAX_BYTES)
        durable.remove(path)
        try:
            manifest = model_manifest.decode(data)
            choose(manifest, self._options.runners)
        except ParseError as error:
            raise _RefusedError(Cause.FORMAT, str(error)) from error
        except RunnerError as error:
            raise _RefusedError(Cause.SETTINGS, str(error)) from error
        if (manifest.name, manifest.version) != (release.name, release.version):
            raise _RefusedError(
                Cause.MIX_UP,
                f"expected the manifest of {release.name} {release.version}, it is of "
                f"{manifest.name} {manifest.version}",
            )
        return data, manifest

    def _bring_in(self, data: bytes, manifest: ModelManifest, source: ReleaseSource) -> str:
        """All content of the model, each blob verified; returns its digest."""
        try:
            staging = Staging(self._store, data)
            if staging.is_whole:
                staging = self._again(staging, data)
            return _fill(staging, manifest.name, source)
        except StoreError as error:
            raise _RefusedError(Cause.DISK, str(error)) from error
        except TrustError as error:
            raise _RefusedError(Cause.CONTENT, str(error)) from error

    def _again(self, staging: Staging, data: bytes) -> Staging:
        """A content from before is used if it is as it was, else fetched anew."""
        name = staging.manifest.name
        try:
            self._store.verify(name, staging.digest)
        except TrustError as error:
            if staging.digest in self._store.kept(name):
                raise _RefusedError(Cause.ALTERED, str(error)) from error
            self._store.remove(name, staging.digest)
            return Staging(self._store, data)
        return staging

    def _try(self, manifest: ModelManifest, digest: str) -> dict[str, str]:
        """Signature and golden cases; what fails is removed."""
        folder = self._store.path(manifest.name, digest)
        try:
            facts = self._check_signature(manifest, folder)
            return {**facts, **self._check_answers(manifest, folder)}
        except _RefusedError:
            if digest not in self._store.kept(manifest.name):
                self._store.remove(manifest.name, digest)
            raise

    def _check_signature(self, manifest: ModelManifest, folder: Path) -> dict[str, str]:
        if manifest.signature is None:
            if self._options.signature == "required":
                words = "expected an OpenSSF model signature ([models] signature), it has none"
                raise _RefusedError(Cause.SIGNATURE, words)
            return {"signature": "none"}
        signature = durable.read(folder / SIGNATURE, MAX_SIGNATURE_BYTES) or b""
        try:
            found = model_signature.verify(folder / DIRECTORY, signature, self._keys())
        except TrustError as error:
            raise _RefusedError(Cause.SIGNATURE, str(error)) from error
        return {"signature": found.key, "signed_root": found.root}

    def _check_answers(self, manifest: ModelManifest, folder: Path) -> dict[str, str]:
        verdict = golden_test.test(manifest, str(folder), self._options, self._worker)
        if verdict.reason:
            cause = Cause.LIMITS if verdict.is_limit else Cause.GOLDEN
            raise _RefusedError(cause, verdict.reason)
        results = verdict.results
        return {
            "golden": str(len(results)),
            "slowest_ms": str(max((one.time_ms for one in results), default=0)),
            "peak_bytes": str(max((one.peak_bytes for one in results), default=0)),
        }

    def _keys(self) -> list[ModelKey]:
        keys = []
        for path in self._options.signature_keys:
            data = durable.read(Path(path), MAX_KEY_BYTES)
            if data is None:
                raise TrustError(f"{path}: expected a key that may sign models, it is not there")
            keys.append(read_key(data))
        return keys

    def _activate(self, release: Release, digest: str) -> Applied:
        """Switch, tell its user, watch, and commit or roll back."""
        use = self._models.use_of(release.name)
        with Watch(use) as watch:
            self._teller.release(Step.TRIAL, release, facts={"trial_s": str(use.trial_s)})
            self._store.switch(release.name, digest)
            problem = self._watch(release.name, digest, watch, use.trial_s)
            if problem is not None:
                self._roll_back(release, problem)
                return Applied.REFUSED
        self._teller.release(Step.COMMITTED, release)
        return Applied.TAKEN

    def _watch(self, name: str, digest: str, watch: Watch, lasts_s: float) -> Problem | None:
        """The trial; why it failed, or None when it is committed."""
        try:
            self._models.tell(name)
            problem = watch.run(lasts_s)
            if problem is None:
                self._store.commit(name, digest)
        except HookError as error:
            return Problem(Cause.HOOK, str(error))
        except StoreError as error:
            return Problem(Cause.OPERATOR, str(error))
        return problem

    def _roll_back(self, release: Release, problem: Problem) -> None:
        told = ""
        if self._store.pointers(release.name).is_trial:
            told = self._models.roll_back(release.name)
        reason = problem.reason + (f"; its user could not be told: {told}" if told else "")
        digest = self._store.pointers(release.name).current
        self._teller.release(
            Step.ROLLED_BACK, release, cause=problem.cause, reason=shorten(reason, MAX_REASON),
            facts={"current": digest or "none"},
        )  # fmt: skip


def _fill(staging: Staging, name: str, source: ReleaseSource) -> str:
    """Fetch what is missing; what cannot be used takes no room afterwards."""
    try:
        for blob in staging.missing():
            _fetch(source, staging, name, blob)
        return staging.finish()
    except (StoreError, TrustError):
        staging.discard()
        raise


def _fetch(
    source: ReleaseSource, staging: Staging, name: str, blob: Blob, *, is_again: bool = False
) -> None:
    """One blob, from where it broke off the last time."""
    folder, _, last = model_manifest.blob_path(name, blob).rpartition("/")
    with staging.incoming(blob) as incoming:
        began = incoming.offset
        reader = source.target(f"{folder}/{blob.sha256}.{last}", ((began, blob.length - began),))
        buffer = memoryview(bytearray(PIECE_BYTES))
        try:
            while incoming.offset < blob.length and (count := reader.readinto(buffer)):
                incoming.write(buffer[:count])
        except (StoreError, TrustError):
            if is_again or not began:
                raise
        else:
            return
    # What a cut had left was torn: now from its start, before anybody is accused.
    _fetch(source, staging, name, blob, is_again=True)


def recover(context: Context) -> None:
    """A trial that a reboot or a kill ended is rolled back: nobody watched it to its end."""
    models = DeviceModels(context.config.models)
    for name, problem in models.recover().items():
        told = f"; its user could not be told: {problem}" if problem else ""
        reason = "it was on trial when the installer was cut" + told
        digest = models.pointers(name).current
        context.teller.name(
            Step.ROLLED_BACK, ReleaseKind.MODEL, name, cause=Cause.TIMEOUT, reason=reason,
            facts={"current": digest or "none"},
        )  # fmt: skip


def roll_back(context: Context, name: str, reason: str) -> str:
    """Put the model before into use again, because a person asked; "" or why not."""
    try:
        models = DeviceModels(context.config.models)
        going_back.roll_back(models, lambda: context.teller, name, reason)
    except (RequestError, StoreError) as error:
        return str(error)
    return ""


def applier(context: Context) -> ModelApplier:
    """The applier of this kind."""
    return ModelApplier(context)
