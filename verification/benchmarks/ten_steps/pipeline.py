"""The ten steps of `orchestration` by ZenML: `python pipeline.py [--cached]`."""

import sys

from zenml import pipeline, step


@step
def begin() -> int:
    """Begins."""
    return 1


@step
def one(value: int, name: str) -> int:  # noqa: ARG001  # else a step takes its neighbour's result
    """Adds one."""
    return value + 1


@step
def join_three(a: int, b: int, c: int) -> int:
    """Joins the three."""
    return a + b + c + 1


@step
def join_two(d: int, e: int) -> int:
    """Joins the two."""
    return d + e + 1


@pipeline
def ten_steps() -> None:
    """A fan of three, a fan of two."""
    start = begin(id="start")
    joined = join_three(*(one(start, name, id=name) for name in "abc"), id="join")
    middle = one(joined, "middle", id="middle")
    joined2 = join_two(*(one(middle, name, id=name) for name in "de"), id="join2")
    one(joined2, "end", id="end")


if __name__ == "__main__":
    run = ten_steps.with_options(enable_cache="--cached" in sys.argv)()
    print(f"result={run.steps['end'].output.load()}")
