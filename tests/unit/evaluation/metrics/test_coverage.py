"""The coverage of 95 % intervals; docs/benchmarks.md has the table."""

import pytest

from verification.benchmarks.interval_coverage import bias_coverage

SAMPLES = 400  # 95 % of so many, three standard errors either way, is 91.7 to 98.3 %


@pytest.mark.parametrize("labels", ["common", "rare"])
def test_bias_intervals_hold_the_true_value(labels: str) -> None:
    tallies = bias_coverage(labels, samples=SAMPLES, replicates=400, seed=3, sizes=(200,))
    covered = {
        metric: tally.covered / tally.shown
        for (metric, _), tally in tallies.items()
        if tally.shown > SAMPLES / 2
    }
    assert {"DI", "DPPL", "AD"} <= covered.keys()
    assert {metric: share for metric, share in covered.items() if not 0.917 <= share <= 0.99} == {}
