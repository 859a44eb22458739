"""A device makes its key once; one that is gone is never replaced in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.daemon import device_key
from vedette.errors import TrustError
from vedette.store.state import FileState
from vedette.trust.keyfile import load_signer


def test_a_device_that_never_ran_makes_its_key_and_keeps_it(tmp_path: Path) -> None:
    path, state = tmp_path / "identity.key", tmp_path / "state"
    made, is_new = device_key.made_once(path, state)
    again, is_new_again = device_key.made_once(path, state)
    assert is_new
    assert not is_new_again
    assert again.public_key == made.public_key
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("trace", ["state.a", "state.b", "journal"])
def test_a_device_that_ran_and_has_no_key_says_so(tmp_path: Path, trace: str) -> None:
    (tmp_path / trace).touch()
    with pytest.raises(TrustError, match=r"found none, although it had one.*--new-key"):
        device_key.made_once(tmp_path / "identity.key", tmp_path)
    assert not (tmp_path / "identity.key").exists()


def test_a_key_that_leads_nowhere_is_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "identity.key").symlink_to(tmp_path / "gone")
    with pytest.raises(TrustError, match="expected a readable key file"):
        device_key.made_once(tmp_path / "identity.key", tmp_path)


def test_another_key_than_before_is_told_once(tmp_path: Path) -> None:
    state, path = FileState(tmp_path / "state"), tmp_path / "identity.key"
    first, _ = device_key.made_once(path, tmp_path / "none")
    assert device_key.remember(first, state) == ""
    assert device_key.remember(first, state) == ""
    second = device_key.replaced(path)
    assert "signs with key" in device_key.remember(second, state)
    assert device_key.remember(second, state) == ""


def test_a_replaced_key_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    first, _ = device_key.made_once(path, tmp_path / "none")
    second = device_key.replaced(path)
    assert second.public_key != first.public_key
    (kept,) = tmp_path.glob("identity.key.*")
    assert load_signer(kept).public_key == first.public_key
