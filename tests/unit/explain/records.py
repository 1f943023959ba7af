"""What Explain leaves, made by hand."""

from typing import Any

from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.explain.explanation_record import (
    TEMPLATE,
    ColumnImportance,
    Convergence,
    DeletionPoint,
    DeletionTest,
    ExplainedError,
    Explanations,
    FacetSwap,
    FeatureAttributions,
    PartAttribution,
    PartDescription,
    SwappedText,
)

UNDEFINED = Estimate(value=None, low=None, high=None)


def about(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.05, high=value + 0.05)


def explanations(labels: tuple[str, str] = ("no", "yes"), **changes: Any) -> Explanations:
    """Figures of 40 rows, none of them predicted negative."""
    columns = [
        ColumnImportance(name=name, share=about(share), mean_absolute=2 * share, rows_cut=cut,
                         by_predicted={labels[0]: UNDEFINED, labels[1]: about(share)})
        for name, share, cut in (("title", 0.9, 4), (TEMPLATE, 0.1, 0))
    ]  # fmt: skip
    points = (DeletionPoint(removed=0.1, top=about(0.3), random=about(0.06)),)
    record = Explanations(
        depth="default",
        rows=40,
        test_rows=400,
        predicted=dict(zip(labels, (0, 40), strict=True)),
        steps=20,
        baseline="[MASK]",
        expected_value=0.5,
        largest_difference=1e-6,
        rows_cut=4,
        convergence=Convergence(median=0.01, largest=0.2, explained=2.0),
        columns=tuple(columns),
        deletion=DeletionTest(rows=40, draws=3, points=points, lead=about(0.24), faithful=True),
        warnings=(),
        notes=("title moves the score most.",),
    )
    return record.model_copy(update=changes)


def swap(**changes: Any) -> FacetSwap:
    """Words of a facet that cost the group a little."""
    record = FacetSwap(
        facet="age", group=("old", "older"), sample_size=400,
        with_words=120, rows=100, one_sided=90,
        lead=about(0.2), size=about(0.25), largest=0.41, flips=about(0.1),
    )  # fmt: skip
    return record.model_copy(update=changes)


def swapped_text() -> SwappedText:
    return SwappedText(
        key="L9", facet="age", score=0.3, swapped_score=0.71,
        parts=(("The ", None), ("grandson", "grandfather"), (" is late.", None)),
    )  # fmt: skip


def error(
    label: str = "no", predicted: str = "yes", text: tuple[str, ...] = ("The", "lost", "book")
) -> ExplainedError:
    """A false positive; the second word speaks most for it, and the third a little against it."""
    starts = [sum(len(word) + 1 for word in text[:index]) for index in range(len(text))]
    parts = tuple(
        PartAttribution(attribution=(value,),
                        description=PartDescription(partial_text=word, start_idx=start))
        for word, start, value in zip(text, starts, (0.01, 1.0, -0.3), strict=True)
    )  # fmt: skip
    feature = FeatureAttributions(feature_name="title", attributions=parts)
    return ExplainedError(
        key="L7", label=label, predicted=predicted, score=0.97, cut=True,
        texts=(f"{' '.join(text)} is  here.",), explanations=(feature,),
    )  # fmt: skip
