"""Published and small settings, a TOML file each: NAME.toml; how they are read is in `load`."""
