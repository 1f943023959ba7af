"""A first contract and recipe for a team's own data: guesses, each with its reason."""
