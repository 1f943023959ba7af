"""What is known of a served model: its captured requests, and what they say about it."""
