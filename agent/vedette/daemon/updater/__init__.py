"""The updater: own user, short-lived, no trusted state; fetches what the installer asks for."""
