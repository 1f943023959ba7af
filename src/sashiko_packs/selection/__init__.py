"""A selection: candidates of every kind judged on the same test rows, and the cheapest good one."""
