"""Reads captured requests into rows, and counts everything that is wrong with them."""
