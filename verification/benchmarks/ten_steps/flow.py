"""The ten steps of `orchestration` by Metaflow: `python flow.py run`."""

from metaflow import FlowSpec, step


class TenSteps(FlowSpec):
    """A fan of three, a fan of two; a join may not split, so a step stands between."""

    @step
    def start(self):  # noqa: D102 - the graph's steps, whose names say all
        self.value = 1
        self.next(self.a, self.b, self.c)

    @step
    def a(self):  # noqa: D102
        self.value += 1
        self.next(self.join)

    @step
    def b(self):  # noqa: D102
        self.value += 1
        self.next(self.join)

    @step
    def c(self):  # noqa: D102
        self.value += 1
        self.next(self.join)

    @step
    def join(self, inputs):  # noqa: D102
        self.value = sum(branch.value for branch in inputs) + 1
        self.next(self.middle)

    @step
    def middle(self):  # noqa: D102
        self.value += 1
        self.next(self.d, self.e)

    @step
    def d(self):  # noqa: D102
        self.value += 1
        self.next(self.join2)

    @step
    def e(self):  # noqa: D102
        self.value += 1
        self.next(self.join2)

    @step
    def join2(self, inputs):  # noqa: D102
        self.value = sum(branch.value for branch in inputs) + 1
        self.next(self.end)

    @step
    def end(self):  # noqa: D102
        self.value += 1
        print(f"result={self.value}")


if __name__ == "__main__":
    TenSteps()
