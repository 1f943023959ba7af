"""Slips in what ties steps together: references and parameters."""

from tests.pipeline.faults import TRAIN, Fault, set_in, set_parameter

OF_TRAIN = (*TRAIN, "Environment", "X")
OF_COMPILE = ("Compile", "Arguments", "Environment", "X")
MODEL = "Steps.Train.ModelArtifacts.S3ModelArtifacts"


def output(step: str, name: str) -> str:
    return f"Steps.{step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"


# As in `argument_faults`.
REFERENCE_FAULTS: dict[str, tuple[Fault, str, str]] = {
    # References.
    "a reference to an unknown step": (
        set_in(*OF_TRAIN, to={"Get": output("Lost", "train")}),
        "step `Train`, Arguments.Environment.X",
        "no step is named `Lost`; there is: Snapshot, ",
    ),
    "a reference to an unknown output": (
        set_in(*OF_TRAIN, to={"Get": output("Prepare", "lost")}),
        "step `Train`, Arguments.Environment.X, Steps.Prepare",
        "has no `lost`; there is: 0, 1, 2, 3, 4, train, validation, test, slices, meta",
    ),
    "a reference to an unknown property": (
        set_in(*OF_COMPILE, to={"Get": MODEL[:-1]}),
        "step `Compile`, Arguments.Environment.X, Steps.Train",
        "`ModelArtifacts.S3ModelArtifact` has no `S3ModelArtifact`; there is: S3ModelArtifacts",
    ),
    "a reference to a whole structure, joined": (
        set_in(*OF_COMPILE, to={"Std:Join": {"Values": [{"Get": "Steps.Train.ModelArtifacts"}]}}),
        "step `Compile`, Arguments.Environment.X.Std:Join.Values[0]",
        "`Steps.Train.ModelArtifacts` is not a single value",
    ),
    "a property of another type": (
        set_in(*OF_COMPILE, to={"Get": "Steps.Train.BillableTimeInSeconds"}),
        "step `Compile`, Arguments.Environment.X",
        "expected a string, got an integer, from ",
    ),
    "a wait for an unknown step": (
        set_in("Train", "DependsOn", to=["Lost"]),
        "step `Train`, DependsOn[0]",
        "no step is named `Lost`",
    ),
    "an unknown execution variable": (
        set_in(*OF_TRAIN, to={"Get": "Execution.Id"}),
        "step `Train`, Arguments.Environment.X",
        "no execution variable `Id`; there is: StartDateTime, ",
    ),
    "an unknown function": (
        set_in(*OF_TRAIN, to={"Std:Split": "a,b"}),
        "step `Train`, Arguments.Environment.X",
        "unknown function `Std:Split`; known: Get, Std:Join",
    ),
    # The graph.
    "a circle of references": (
        set_in("Prepare", "Arguments", "Environment", "X", to={"Get": MODEL}),
        "definition",
        "steps wait for each other: Prepare -> Train -> Prepare",
    ),
    "a step that waits for itself": (
        set_in("Train", "DependsOn", to=["Train"]),
        "definition",
        "steps wait for each other: Train -> Train",
    ),
    "two steps of one name": (
        set_in("ModelGate", "Name", to="DataGate"),
        "definition, Steps",
        "two steps are named `DataGate`",
    ),
    "two outputs of one name": (
        set_in(
            *("Snapshot", "Arguments", "ProcessingOutputConfig", "Outputs", 0, "OutputName"),
            to="manifest",
        ),
        "step `Snapshot`, Arguments.ProcessingOutputConfig.Outputs",
        "two of them are named `manifest`",
    ),
    "a step's name that is no name": (
        set_in("Register", "Name", to="Register it"),
        "step `Register it`, Name",
        "does not match the pattern",
    ),
    "a cache without a duration": (
        set_in("Train", "CacheConfig", "ExpireAfter", to="a month"),
        "step `Train`, CacheConfig.ExpireAfter",
        "`a month` is not a duration",
    ),
    # Parameters.
    "an undeclared parameter": (
        set_in(*OF_TRAIN, to={"Get": "Parameters.Lake"}),
        "step `Train`, Arguments.Environment.X",
        "no parameter `Lake`; there is: LakeUri, ",
    ),
    "an undeclared parameter, joined": (
        set_in(
            *OF_TRAIN,
            to={"Std:Join": {"On": "/", "Values": ["s3://b", {"Get": "Parameters.Lake"}]}},
        ),
        "step `Train`, Arguments.Environment.X.Std:Join.Values[1]",
        "no parameter `Lake`",
    ),
    "a text parameter where the API wants an integer": (
        set_in(*TRAIN, "ResourceConfig", "InstanceCount", to={"Get": "Parameters.AsOf"}),
        "step `Train`, Arguments.ResourceConfig.InstanceCount",
        'expected an integer, got a string, from {"Get": "Parameters.AsOf"}',
    ),
    "an integer parameter where the API wants text": (
        set_parameter("AsOf", "Type", to="Integer"),
        "step `Snapshot`, Arguments.AppSpecification.ContainerArguments[5]",
        'expected a string, got an integer, from {"Get": "Parameters.AsOf"}; '
        "make it text with Std:Join",
    ),
    "a default of another type": (
        set_parameter("AsOf", "DefaultValue", to=20261125),
        "parameter `AsOf`",
        "default 20261125 is not a String",
    ),
    "a default outside its enum": (
        set_parameter("ModelRegistry", "DefaultValue", to="mlfow"),
        "parameter `ModelRegistry`",
        "'mlfow' is not one of mlflow, sagemaker",
    ),
    "an enum of another type": (
        set_parameter("ModelRegistry", "EnumValues", to=["mlflow", 1]),
        "parameter `ModelRegistry`, EnumValues",
        "1 is not a String",
    ),
    "a default that an argument does not take": (
        set_parameter("LakeUri", "DefaultValue", to="x" * 257),
        "step `Snapshot`, Arguments.AppSpecification.ContainerArguments[3]",
        '257 characters; allowed: up to 256 characters, from {"Get": "Parameters.LakeUri"}',
    ),
    "a parameter's name that is no name": (
        set_parameter("MlflowTrackingUri", "Name", to="Mlflow URI"),
        "parameter `Mlflow URI`, Name",
        "does not match the pattern",
    ),
    "a parameter of an unknown type": (
        set_parameter("AsOf", "Type", to="Date"),
        "definition, Parameters[1]",
        "unknown Type `Date`; known: String, Integer, Float, Boolean",
    ),
}
