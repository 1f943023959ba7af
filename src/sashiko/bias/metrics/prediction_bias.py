"""Clarify's post-training count-based metrics: bias of the predictions.

Source: "Post-training Data and Model Bias Metrics" in the Amazon SageMaker AI Developer Guide. The
advantaged group is a, the disadvantaged one d; n_a counts rows, n_a(1) those with a positive
label, n'_a(1) those predicted positive, (0) the others. Of several labels all that are not
positive count as negative. Which side of the neutral value is worse for d is the guide's reading.
"""

from sashiko.bias.metrics.groups import Comparison, Group
from sashiko.bias.metrics.label_bias import weighted_disparity
from sashiko.evaluation.metrics.arrays import Floats, ratio


def predicted_difference(groups: Comparison) -> Floats:
    """DPPL = n'_a(1) / n_a - n'_d(1) / n_d, from -1 to 1; more than 0: d is predicted it less."""
    return _acceptance(groups.a) - _acceptance(groups.d)


def disparate_impact(groups: Comparison) -> Floats:
    """DI = (n'_d(1) / n_d) / (n'_a(1) / n_a), from 0 up; less than 1: d is predicted it less."""
    return ratio(_acceptance(groups.d), _acceptance(groups.a))


def conditional_acceptance(groups: Comparison) -> Floats:
    """DCA = n_a(1) / n'_a(1) - n_d(1) / n'_d(1), unbounded; less than 0: d is accepted too rarely.

    That is, of d fewer are accepted for each row that has the label than of a.
    """
    a, d = groups.a, groups.d
    return ratio(a.positives, a.predicted_positives) - ratio(d.positives, d.predicted_positives)


def conditional_rejection(groups: Comparison) -> Floats:
    """DCR = n_d(0) / n'_d(0) - n_a(0) / n'_a(0), unbounded; less than 0: d is rejected too often.

    That is, of d more are rejected for each row that lacks the label than of a.
    """
    a, d = groups.a, groups.d
    return ratio(d.negatives, d.predicted_negatives) - ratio(a.negatives, a.predicted_negatives)


def recall_difference(groups: Comparison) -> Floats:
    """RD = TP_a / n_a(1) - TP_d / n_d(1), from -1 to 1; more than 0: d's positives are missed."""
    a, d = groups.a, groups.d
    return ratio(a.true_positives, a.positives) - ratio(d.true_positives, d.positives)


def specificity_difference(groups: Comparison) -> Floats:
    """SD = TN_d / n_d(0) - TN_a / n_a(0), from -1 to 1; more than 0: a is favoured wrongly more."""
    a, d = groups.a, groups.d
    return ratio(d.true_negatives, d.negatives) - ratio(a.true_negatives, a.negatives)


def acceptance_rates(groups: Comparison) -> Floats:
    """DAR = TP_a / n'_a(1) - TP_d / n'_d(1), from -1 to 1; more than 0: d's acceptances err."""
    a, d = groups.a, groups.d
    return ratio(a.true_positives, a.predicted_positives) - ratio(
        d.true_positives, d.predicted_positives
    )


def rejection_rates(groups: Comparison) -> Floats:
    """DRR = TN_d / n'_d(0) - TN_a / n'_a(0), from -1 to 1; less than 0: d's rejections err more."""
    a, d = groups.a, groups.d
    return ratio(d.true_negatives, d.predicted_negatives) - ratio(
        a.true_negatives, a.predicted_negatives
    )


def accuracy_difference(groups: Comparison) -> Floats:
    """AD = (TP_a + TN_a) / n_a - (TP_d + TN_d) / n_d, from -1 to 1; more than 0: d errs more."""
    return _accuracy(groups.a) - _accuracy(groups.d)


def conditional_predicted_disparity(groups: Comparison) -> Floats:
    """CDDPL: CDDL with predictions in the labels' place, from -1 to 1.

    More than 0: within the strata d makes up more of the rows predicted negative than of those
    predicted positive. NaN where a stratum has none of the one or of the other.
    """
    a, d = groups.a_strata, groups.d_strata
    return weighted_disparity(
        rows=a.rows + d.rows,
        rejected=(d.predicted_negatives, a.predicted_negatives + d.predicted_negatives),
        accepted=(d.predicted_positives, a.predicted_positives + d.predicted_positives),
    )


def treatment_equality(groups: Comparison) -> Floats:
    """TE = FN_d / FP_d - FN_a / FP_a, unbounded; more than 0: d errs by refusals more."""
    a, d = groups.a, groups.d
    return ratio(d.false_negatives, d.false_positives) - ratio(a.false_negatives, a.false_positives)


def generalized_entropy(groups: Comparison) -> Floats:
    """GE = (mean(b^2) / mean(b)^2 - 1) / 2 over all rows, b = y' - y + 1; 0: all have one benefit.

    b is 2 for a false positive, 0 for a false negative, 1 for the rest; alpha is 2. It is of the
    rows as a whole and equal for every group. The guide gives 0 to 0.5 as its range; where false
    negatives prevail it exceeds that, up to (n - 1) / 2.
    """
    rows = groups.a.rows + groups.d.rows
    doubled = groups.a.false_positives + groups.d.false_positives
    refused = groups.a.false_negatives + groups.d.false_negatives
    mean = ratio(rows + doubled - refused, rows)
    squares = ratio(rows + 3 * doubled - refused, rows)
    return (ratio(squares, mean**2) - 1) / 2


def _acceptance(group: Group) -> Floats:
    return ratio(group.predicted_positives, group.rows)


def _accuracy(group: Group) -> Floats:
    return ratio(group.true_positives + group.true_negatives, group.rows)
