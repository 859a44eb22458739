"""The way out: the unprivileged process that speaks MQTT, and the sentinel's link to it."""
