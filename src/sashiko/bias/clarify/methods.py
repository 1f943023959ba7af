"""The `methods` of Clarify's analysis configuration: which metrics are computed."""

from pydantic import model_validator

from sashiko.base.yaml_models import Frozen
from sashiko.bias.metrics.bias import stage_metrics
from sashiko.bias.metrics.bias_table import Stage


class MethodConfig(Frozen):
    """The metrics of a stage: names, or `all`; the flip test needs features, which text has not."""

    methods: tuple[str, ...] | str = "all"

    def names(self, stage: Stage) -> tuple[str, ...]:
        """Returns the metrics' names in alphabetical order, as Clarify lists them."""
        requested = (self.methods,) if isinstance(self.methods, str) else self.methods
        supported = stage_metrics(stage)
        if requested == ("all",):
            return supported
        unknown = [name for name in requested if name not in supported]
        if unknown or not requested:
            problem = f"`{'`, `'.join(unknown)}` is not supported" if unknown else "names no metric"
            raise ValueError(
                f"{stage}_bias.methods: {problem}; supported: all, {', '.join(supported)}"
            )
        return tuple(sorted(set(requested)))


class ReportConfig(Frozen):
    """Clarify's notebook and PDF; accepted but not written, as each run has its own report."""

    name: str
    title: str | None = None


class MethodsConfig(Frozen):
    """The methods to compute."""

    pre_training_bias: MethodConfig | None = None
    post_training_bias: MethodConfig | None = None
    report: ReportConfig | None = None

    @model_validator(mode="after")
    def _check_metrics(self) -> "MethodsConfig":
        if self.pre_training_bias is None and self.post_training_bias is None:
            raise ValueError("name `pre_training_bias`, `post_training_bias`, or both")
        if self.pre_training_bias:
            self.pre_training_bias.names("pre_training")
        if self.post_training_bias:
            self.post_training_bias.names("post_training")
        return self

    def names(self, stage: Stage) -> tuple[str, ...]:
        """Returns the requested metrics of a stage; empty if the stage was not requested."""
        config = self.pre_training_bias if stage == "pre_training" else self.post_training_bias
        return config.names(stage) if config else ()
