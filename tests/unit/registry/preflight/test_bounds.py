"""What an environment asks of a version, held against what the version was signed with."""

from typing import Any

import pytest

from sashiko.base.custom_resource import RefusedError
from sashiko.registry.preflight.expected import Bound, write_bounds
from tests.unit.registry.preflight.registered import registered, write_evidence


def bounds(metric: str, *facets: str, **limits: Any) -> str:
    """One bound, as a template carries it."""
    bound = {"minimum": None, "maximum": None, "judged_by": "value", **limits}
    gate = "bias" if facets else "model-quality"
    return write_bounds([Bound(gate=gate, metric=metric, facets=facets, **bound)])


@pytest.mark.parametrize(
    "bounds_text",
    [
        bounds("DI", "age", minimum=0.84),
        bounds("DI", "age", minimum=0.76, maximum=0.93, judged_by="bound"),
        bounds("DI", "age", "sex", minimum=0.81),
        bounds("auc", minimum=0.85, judged_by="bound"),
        bounds("auc", maximum=0.87),
    ],
)
def test_a_version_within_the_bounds_passes_and_says_so(version, bounds_text):
    (message,) = version.check(bounds=bounds_text).bounds
    assert " at " in message or " from " in message


@pytest.mark.parametrize(
    ("bounds_text", "message"),
    [
        (
            bounds("DI", "age", minimum=0.85),
            r"DI age=old is 0\.84 \[0\.76, 0\.93\], and this environment asks for DI of age at "
            r"least 0\.85\. Serve a version that reaches it, or change `serving\.bounds`",
        ),
        (
            bounds("DI", "age", minimum=0.8, maximum=1.25, judged_by="bound"),
            r"DI age=old is 0\.84 .* asks for DI of age from 0\.8 to 1\.25 for the whole interval",
        ),
        (bounds("DI", "age", "sex", minimum=0.82), r"DI age=60\+ & sex=f is 0\.81, and"),
        (bounds("auc", minimum=0.88), r"auc is 0\.87 .* asks for auc at least 0\.88"),
        (bounds("auc", maximum=0.88, judged_by="bound"), "auc is 0.87 .* at most 0.88 for the"),
    ],
)
def test_a_version_that_its_recipe_passed_is_refused_by_the_environment(
    version, bounds_text, message
):
    with pytest.raises(RefusedError, match=message):
        version.check(bounds=bounds_text)


@pytest.mark.parametrize(
    ("bounds_text", "message"),
    [
        (bounds("DI", "gender", minimum=0.8), "no DI of gender was judged"),
        (bounds("DI", "sex", "age", minimum=0.8), "no DI of sex & age was judged"),
        (bounds("DCA", "age", minimum=0.8), "no DCA of age was judged"),
        (bounds("f1", minimum=0.5), "no f1 was judged"),
        (bounds("AD", "age", maximum=0.1), "AD age=old was signed without a value"),
        (
            bounds("DI", "age", "sex", minimum=0.8, judged_by="bound"),
            "DI age=60+ & sex=f was signed without an interval",
        ),
    ],
)
def test_what_was_not_signed_is_refused_and_never_passed_over(version, bounds_text, message):
    with pytest.raises(RefusedError) as error:
        version.check(bounds=bounds_text)
    assert message in str(error.value)


def test_a_waiver_of_the_recipe_moves_no_bound_of_the_environment(account, tmp_path):
    model = registered(account, write_evidence(tmp_path, failed="bias", waived_until="2999-12-31"))
    assert model.check(allow_waived="true").files
    with pytest.raises(RefusedError, match="no DI of age was judged"):
        model.check(allow_waived="true", bounds=bounds("DI", "age", minimum=0.8))


def test_bounds_cross_a_template_unchanged():
    original = (
        Bound(
            gate="bias", metric="DI", facets=("a", "b"), minimum=0.8, maximum=None,
            judged_by="bound",
        ),
    )  # fmt: skip
    assert Bound.read(write_bounds(original)) == original
    assert Bound.read("[]") == ()
