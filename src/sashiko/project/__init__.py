"""Creates projects that depend on the engine, and upgrades them."""
