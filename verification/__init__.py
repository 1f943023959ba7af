"""What proves the engine, and no project needs."""
