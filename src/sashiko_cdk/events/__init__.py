"""What starts by itself, and who hears of what."""
