"""Containers for developers who have only docker: `make docker-test`, `make deb-test`."""

from vedette_dev.docker.client import Docker, Settings, connected, ended_in_order

__all__ = ["Docker", "Settings", "connected", "ended_in_order"]
