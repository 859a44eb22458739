"""The installer: root without a network; owns metadata, floors and time; verifies, writes."""
