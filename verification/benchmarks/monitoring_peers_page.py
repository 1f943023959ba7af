"""The page of `monitoring_peers`: tables of what each monitor says, and where ours is behind."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean, median

from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.monitoring.text_drift import MOST_TEXTS
from verification.benchmarks.monitoring_audit import AUDITED
from verification.benchmarks.monitoring_page import REFERENCE_ROWS
from verification.benchmarks.monitoring_verdicts import (
    FALSE_ALARMS,
    Setup,
    StreamVerdict,
    Verdict,
)
from verification.benchmarks.monitoring_windows import (
    CHUNKS,
    REVERSED,
    SETTINGS,
    STREAM_KINDS,
    WEEK_ROWS,
    WEEKS,
)

_OURS = (Setup.OURS, Setup.OURS_TEXTS, Setup.OURS_AUDIT)
_DEFAULTS = (Setup.EVIDENTLY, Setup.EVIDENTLY_DATASET, Setup.NANNYML, Setup.NANNYML_CBPE)
_BY_HAND = (
    Setup.EVIDENTLY_TESTS,
    Setup.NANNYML_TEN,
    Setup.NANNYML_LARGER,
    Setup.NANNYML_CBPE_LARGER,
)
_TEXTS = (Setup.EVIDENTLY_TEXTS, Setup.EVIDENTLY_DATASET_TEXTS)
_TIMED = (
    Setup.OURS,
    Setup.EVIDENTLY,
    Setup.NANNYML,
    Setup.NANNYML_CBPE,
    Setup.OURS_TEXTS,
    Setup.EVIDENTLY_TEXTS,
)
_AUDITED = (
    Setup.OURS_AUDIT,
    Setup.NANNYML_REALIZED,
    Setup.EVIDENTLY_ACCURACY,
    Setup.EVIDENTLY_BOUND,
    Setup.NANNYML_CBPE,
)
_EVIDENTLY_DOCS = "https://docs.evidentlyai.com/metrics"
_NANNYML_DOCS = "https://nannyml.readthedocs.io/en/stable"
_METHOD = f"""\
Three monitors judge the same windows of generated `complaints`, quiet ones and ones with a planted
shift. Each window has a reference of its own of {REFERENCE_ROWS:,} rows and shares none with it.
All see the columns `product` and `channel`, and the scores of a logistic regression that stands in
for the encoder; the texts are compared in some windows only, since that takes most of the time. In
brackets Wilson's 95 % intervals of the simulation; windows of 20,000 rows are drawn from a pool
that is not much larger, so they are alike, and their intervals are too narrow. With six windows a
setting 0.00 may be as much as 0.39: how often ours alarms where nothing changed is
[measured elsewhere](monitoring-benchmark.md).

- **ours**: the checks of the section `monitor` at its defaults: drift of two columns and of the
  scores, disparate impact of two facets, and, with the texts, theirs. An alarm needs a change that
  is not chance and is larger than a tolerance.
- **evidently 0.7.23**: [`DataDriftPreset`]({_EVIDENTLY_DOCS}/preset_data_drift) with its tests.
  With more than 1,000 rows of reference it takes distances: Jensen-Shannon of at least 0.1 for
  categories, Wasserstein of 0.1 standard deviations for numbers, for texts a classifier with an AUC
  above 0.55, which needs no download. `a column`: one drifted. `dataset`: half of them did, which
  is its verdict by default.
- **NannyML 0.13.1**: `UnivariateDriftCalculator` (Jensen-Shannon) and `CBPE` of the accuracy, with
  a size of the chunks as in its [quickstart]({_NANNYML_DOCS}/quick.html): a window is a chunk. One
  that lies more than three standard deviations from the mean of the reference's chunks raises an
  alarm. Its methods are for numbers and categories, none for texts. {REFERENCE_ROWS:,} rows make
  18, 7, 2 or 1 such chunks, and NannyML warns of
  [fewer than six]({_NANNYML_DOCS}/how_it_works/chunking_data.html).
"""
_SET_UP = f"""\
`evidently, tests at {FALSE_ALARMS}`: chi-squared and Kolmogorov-Smirnov tests instead of distances,
each at {FALSE_ALARMS} divided by the three columns, so that a quiet window has as many false alarms
as ours may have. `ten chunks`: NannyML's [default]({_NANNYML_DOCS}/tutorials/chunking.html) without
a size, which cuts the reference and the window into ten each. `{CHUNKS} chunks`: a reference of
{CHUNKS} windows, which is 6,000, 15,000 or 60,000 labelled rows; windows of 20,000 would need
600,000, and were left out.
"""
_DRIFT = f"""\
Streams of {WEEKS} weekly windows of {WEEK_ROWS} rows, quiet or with {REVERSED:.1%} of the labels
reversed from the first week on: the accuracy is {{quiet:.3f}} or {{drift:.3f}}. {AUDITED} rows of
each week are drawn and labelled; whoever uses labels gets the same ones. CBPE uses none, and its
documentation [says]({_NANNYML_DOCS}/how_it_works/performance_estimation.html) that it does not cope
with concept drift. Without labels evidently has the drift of the columns, which do not change.
"""
_WITHOUT_LABELS = """\
Means over windows. Ours is shown as `if P(label | score) is unchanged`, and withdrawn when an input
drifted or could not be judged; CBPE always gives a number.
"""
_TIME = f"""\
Median seconds of the processor, one thread, for a window whose rows are in memory; ours with
strings mapped to cells beforehand, and with at most {MOST_TEXTS:,} texts a side.
"""
_MORE = """\
What they have and ours does not: evidently draws the distribution of each column in an interactive
report, offers some twenty methods and compares embeddings; NannyML has multivariate drift (PCA
reconstruction, a domain classifier), estimates of several metrics at once and of regression, and
ranks columns by their alarms.
"""


@dataclass
class Answers:
    """The verdicts of all monitors."""

    windows: list[Verdict] = field(default_factory=list)
    streams: list[StreamVerdict] = field(default_factory=list)
    accuracies: dict[int, list[float]] = field(default_factory=dict)  # setting -> of each window
    stream_accuracies: dict[str, list[float]] = field(default_factory=dict)  # kind -> of each

    def of(self, setting: int, setup: Setup) -> list[Verdict]:
        """Returns a monitor's verdicts on the windows of a setting."""
        return [item for item in self.windows if (item.setting, item.setup) == (setting, setup)]

    def share(self, setting: int, setup: Setup) -> float | None:
        """Returns the share of windows with an alarm; None if it judged none."""
        verdicts = self.of(setting, setup)
        return mean(item.alarm for item in verdicts) if verdicts else None

    def week(self, setup: Setup) -> float:
        """Returns the median week of the first alarm after a drift; infinite if half have none."""
        weeks = [one.week for one in self.streams if (one.kind, one.setup) == ("drift", setup)]
        return median(math.inf if week is None else week for week in weeks) if weeks else math.inf


def page(answers: Answers, *, command: str, machine: str, minutes: float) -> str:
    """Writes the page in Markdown."""
    accuracies = {kind: mean(values) for kind, values in answers.stream_accuracies.items()}
    losses = _losses(answers) or ["Nowhere in this run."]
    parts = (
        "<!-- Written by `python -m verification.benchmarks.monitoring_peers --write`. -->\n",
        "# The monitor beside evidently and NannyML\n",
        f"```\nmake .venv-evidently/.done .venv-nannyml/.done\n{command}\n```\n",
        f"On {machine}, in {minutes:.0f} minutes.\n",
        _METHOD,
        "## At their defaults: the share of windows that raise an alarm\n",
        _table(_alarms(answers, (Setup.OURS, *_DEFAULTS))),
        "## Set up by hand\n",
        _SET_UP,
        _table(_alarms(answers, (Setup.OURS, *_BY_HAND))),
        "## With the texts\n",
        _table(_alarms(answers, (Setup.OURS_TEXTS, *_TEXTS))),
        "## Concept drift\n",
        _DRIFT.format(**accuracies),
        _table(_streams(answers)),
        "## The accuracy without labels\n",
        _WITHOUT_LABELS,
        _table(_estimates(answers)),
        "## Time\n",
        _TIME,
        _table(_seconds(answers)),
        "## Where ours is behind\n",
        _table(losses),
        _MORE,
    )
    return "\n".join(parts)


def _table(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _head(*names: str) -> list[str]:
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def _alarms(answers: Answers, setups: Sequence[Setup]) -> Iterator[str]:
    yield from _head("windows", "judged", *setups)
    for place, setting in enumerate(SETTINGS):
        judged = len(answers.of(place, setups[0]))
        if judged:
            cells = [_share([one.alarm for one in answers.of(place, setup)]) for setup in setups]
            yield f"| {setting} | {judged} | {' | '.join(cells)} |"


def _streams(answers: Answers) -> Iterator[str]:
    yield from _head(
        "monitor",
        "streams of each kind",
        "quiet, with an alarm",
        "drift, with an alarm",
        "median week",
    )
    for setup in _AUDITED:
        weeks = {
            kind: [one.week for one in answers.streams if (one.kind, one.setup) == (kind, setup)]
            for kind in STREAM_KINDS
        }
        quiet, drift = (_share([week is not None for week in of]) for of in weeks.values())
        late = answers.week(setup)
        cell = "none" if math.isinf(late) else f"{late:g}"
        yield f"| {setup} | {len(weeks['drift'])} | {quiet} | {drift} | {cell} |"


def _estimates(answers: Answers) -> Iterator[str]:
    yield from _head("windows", "true", "CBPE", "ours, where shown", "ours, withdrawn")
    for place, setting in enumerate(SETTINGS):
        ours = answers.of(place, Setup.OURS_TEXTS)
        if ours:
            shown = [one.estimate for one in ours if one.estimate is not None]
            cbpe = [one.estimate for one in answers.of(place, Setup.NANNYML_CBPE)]
            cells = (_mean(answers.accuracies[place]), _mean(cbpe), _mean(shown))
            yield f"| {setting} | {' | '.join(cells)} | {len(ours) - len(shown)} of {len(ours)} |"


def _seconds(answers: Answers) -> Iterator[str]:
    yield from _head("rows of a window", *_TIMED)
    for place, setting in enumerate(SETTINGS):
        if setting.kind is None and answers.of(place, Setup.OURS):
            cells = [_duration(_median(answers, place, setup)) for setup in _TIMED]
            yield f"| {setting.rows:,} | {' | '.join(cells)} |"


def _losses(answers: Answers) -> list[str]:
    """Lists where a peer finds a shift more often than ours, and where it is faster."""
    quiet = {item.rows: place for place, item in enumerate(SETTINGS) if item.kind is None}
    lines = []
    for place, setting in enumerate(SETTINGS):
        for setup in (*_DEFAULTS, *_BY_HAND, *_TEXTS):
            own = Setup.OURS_TEXTS if setup in _TEXTS else Setup.OURS
            theirs, ours = answers.share(place, setup), answers.share(place, own)
            if setting.kind and theirs is not None and ours is not None and theirs > ours:
                without = answers.share(quiet[setting.rows], setup)
                false = "" if without is None else f"; in quiet windows of that size {without:.2f}"
                lines.append(f"- {setting}: `{setup}` {theirs:.2f}, `{own}` {ours:.2f}{false}.")
    lines += [
        f"- concept drift: `{setup}` in week {theirs:g}, `{Setup.OURS_AUDIT}` in week {ours:g}."
        for setup in _AUDITED
        if (theirs := answers.week(setup)) < (ours := answers.week(Setup.OURS_AUDIT))
    ]
    for rows, place in quiet.items():
        for setup in _TIMED:
            own = Setup.OURS_TEXTS if setup in _TEXTS else Setup.OURS
            theirs, ours = _median(answers, place, setup), _median(answers, place, own)
            if theirs is not None and ours is not None and theirs < ours and setup not in _OURS:
                lines.append(
                    f"- {rows:,} rows: `{setup}` takes {_duration(theirs)} s, `{own}` "
                    f"{_duration(ours)} s."
                )
    return lines


def _median(answers: Answers, setting: int, setup: Setup) -> float | None:
    verdicts = answers.of(setting, setup)
    return median(one.seconds for one in verdicts) if verdicts else None


def _share(alarms: Sequence[bool]) -> str:
    if not alarms:
        return ""
    share = mean(alarms)
    low, high = wilson_interval(share, len(alarms))
    return f"{share:.2f} [{low:.2f}, {high:.2f}]"


def _mean(values: Sequence[float | None]) -> str:
    numbers = [value for value in values if value is not None]
    return f"{mean(numbers):.3f}" if numbers else ""


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3g}"
