"""The worker: runs a model that nobody trusts yet, as its own user, without a network."""
