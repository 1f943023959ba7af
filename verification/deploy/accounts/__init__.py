"""Several accounts of the emulator at one address, and what passes between them."""
