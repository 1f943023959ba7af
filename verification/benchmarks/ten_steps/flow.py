"""The ten steps of graph.py by Metaflow, in its own environment: `python flow.py run`."""

from metaflow import FlowSpec, step


class TenSteps(FlowSpec):
    """A fan of three, a fan of two."""

    @step
    def start(self):
        """Begins."""
        self.value = 1
        self.next(self.a, self.b, self.c)

    @step
    def a(self):
        """One of three."""
        self.value += 1
        self.next(self.join)

    @step
    def b(self):
        """One of three."""
        self.value += 1
        self.next(self.join)

    @step
    def c(self):
        """One of three."""
        self.value += 1
        self.next(self.join)

    @step
    def join(self, inputs):
        """Joins the three."""
        self.value = sum(branch.value for branch in inputs) + 1
        self.next(self.middle)

    @step
    def middle(self):
        """Stands between, as a join may not split."""
        self.value += 1
        self.next(self.d, self.e)

    @step
    def d(self):
        """One of two."""
        self.value += 1
        self.next(self.join2)

    @step
    def e(self):
        """One of two."""
        self.value += 1
        self.next(self.join2)

    @step
    def join2(self, inputs):
        """Joins the two."""
        self.value = sum(branch.value for branch in inputs) + 1
        self.next(self.end)

    @step
    def end(self):
        """Prints the result, in a line of its own."""
        self.value += 1
        print(f"result={self.value}")


if __name__ == "__main__":
    TenSteps()
