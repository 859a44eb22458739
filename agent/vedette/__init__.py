"""Vedette: an on-device security agent for Linux IoT targets."""

__version__ = "0.1.0"
