"""When this agent was built: the time before which no clock is believed."""

BUILD_S = 1_795_219_200
"""Unix time of 2026-11-21, raised with each release."""
