"""The workbench: a real broker, development keys and the demo run; never installed on a device."""
