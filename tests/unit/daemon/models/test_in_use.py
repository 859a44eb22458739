"""The models of a device, as agent and installer find them."""

from __future__ import annotations

from pathlib import Path

from vedette.daemon.model_options import Models
from vedette.daemon.models.in_use import DeviceModels


def test_a_device_without_models_needs_no_place_for_them(tmp_path: Path) -> None:
    """On a read-only root it cannot be made, and updates of firmware recover all the same."""
    folder = tmp_path / "models"
    models = DeviceModels(Models(folder=str(folder)))
    assert models.recover() == {}
    assert models.names() == []
    assert not folder.exists()
