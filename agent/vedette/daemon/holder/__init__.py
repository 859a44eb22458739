"""The holder and its guardian: they decide on executions, and free everybody when that fails."""
