"""The graph that `orchestration` runs: two fans, and what waits for what."""

# Each step's result is one more than the sum of what it is given; the last one's shows that all
# ten ran, in this order. `flow.py` and `pipeline.py` write the same graph as their tool wants it.
STEPS = {
    "start": (),
    "a": ("start",),
    "b": ("start",),
    "c": ("start",),
    "join": ("a", "b", "c"),
    "middle": ("join",),
    "d": ("middle",),
    "e": ("middle",),
    "join2": ("d", "e"),
    "end": ("join2",),
}
RESULT = 20
