"""The `methods` of Clarify's analysis configuration: which metrics are computed."""

from pydantic import model_validator

from sashiko.core.yaml_models import Frozen
from sashiko.evaluation.metrics import flip_test
from sashiko.evaluation.metrics.bias import stage_metrics
from sashiko.evaluation.metrics.bias_table import Stage


class MethodConfig(Frozen):
    """Which metrics of a stage: their names, or `all`, which leaves the slow flip test out."""

    methods: tuple[str, ...] | str = "all"

    def names(self, stage: Stage) -> tuple[str, ...]:
        """Returns the metrics' names in alphabetical order, as Clarify lists them."""
        chosen = (self.methods,) if isinstance(self.methods, str) else self.methods
        supported = stage_metrics(stage)
        if chosen == ("all",):
            return supported
        if stage == "post_training":
            supported = (*supported, flip_test.NAME)
        unknown = [name for name in chosen if name not in supported]
        if unknown or not chosen:
            named = f"`{'`, `'.join(unknown)}` is not supported" if unknown else "names no metric"
            raise ValueError(
                f"{stage}_bias.methods: {named}; supported: all, {', '.join(supported)}"
            )
        return tuple(sorted(set(chosen)))


class ReportConfig(Frozen):
    """Asks Clarify for a notebook and a PDF, which our step leaves to the run's own report."""

    name: str
    title: str | None = None


class MethodsConfig(Frozen):
    """What is computed."""

    pre_training_bias: MethodConfig | None = None
    post_training_bias: MethodConfig | None = None
    report: ReportConfig | None = None

    @model_validator(mode="after")
    def _metrics_are_known(self) -> "MethodsConfig":
        if self.pre_training_bias is None and self.post_training_bias is None:
            raise ValueError("name `pre_training_bias`, `post_training_bias`, or both")
        if self.pre_training_bias:
            self.pre_training_bias.names("pre_training")
        if self.post_training_bias:
            self.post_training_bias.names("post_training")
        return self

    def names(self, stage: Stage) -> tuple[str, ...]:
        """Returns the metrics asked for of a stage; none if it was not asked for."""
        chosen = self.pre_training_bias if stage == "pre_training" else self.post_training_bias
        return chosen.names(stage) if chosen else ()
