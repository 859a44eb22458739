"""Device tests: a provisioned device, attacks played in it, other firmwares, power cuts."""
