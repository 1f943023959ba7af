"""Event rules, state machines and notifications."""
