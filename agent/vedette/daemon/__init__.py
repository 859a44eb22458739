"""Wires the parts into processes: configuration, privileges, supervision, notification."""
