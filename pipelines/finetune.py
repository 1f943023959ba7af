"""The fine-tuning pipeline: governed data to a registered model, every gate blocking.

SageMaker runs the definition that this module builds; `sashiko run` interprets the same one.
"""

from collections.abc import Sequence
from pathlib import Path

from sagemaker.core.workflow.conditions import ConditionEquals
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterString
from sagemaker.mlops.workflow import Pipeline
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.steps import ProcessingStep, Step

from pipelines.jobs import Jobs, joined, output_uri
from pipelines.offline import pipeline_session
from sashiko.aws.images import job_images
from sashiko.recipe import Recipe
from sashiko.settings import Settings
from sashiko.staging import stage


def build_pipeline(settings: Settings, recipe: Recipe, *, contract_file: Path) -> Pipeline:
    """Builds the pipeline of one environment and one recipe; no cloud call is made.

    Args:
        settings: the environment.
        recipe: what to fine-tune and how.
        contract_file: the recipe's data contract.

    Returns:
        The pipeline; `.definition()` is its JSON.

    Raises:
        InputError: if the contract is not valid.
    """
    lake_uri = ParameterString("LakeUri")
    as_of = ParameterString("AsOf")
    registry = ParameterString("ModelRegistry", enum_values=["mlflow", "sagemaker"])
    tracking_uri = ParameterString("MlflowTrackingUri")
    run_manifest_uri = ParameterString("RunManifestUri")

    bucket = f"s3://{settings.bucket}"
    session = pipeline_session(settings)
    jobs = Jobs(settings=settings, session=session, execution_prefix=f"{bucket}/runs")
    images = job_images(settings)
    staged = stage(recipe, contract_file=contract_file, bucket=settings.bucket)
    config = {step: channel.uri for step, channel in staged.config.items()}
    mlflow = {"MLFLOW_TRACKING_URI": tracking_uri}
    execution = ExecutionVariables.PIPELINE_EXECUTION_ID

    def module(name: str) -> list[str]:
        return ["python3", "-m", f"sashiko.steps.{name}"]

    def snapshot_uri(view: str, output: str) -> Join:
        prefix = f"{bucket}/snapshots/{staged.contract_hash[:16]}"
        return joined(prefix, as_of, view, output)

    snapshot = jobs.processing(
        "Snapshot",
        role="broker",
        image=images.job,
        entrypoint=module("snapshot"),
        arguments=["--view", "training", "--lake-uri", lake_uri, "--as-of", as_of],
        inputs={"config": config["Snapshot"]},
        outputs={name: snapshot_uri("training", name) for name in ("data", "manifest")},
        isolated=False,
        cached=False,
    )
    snapshot_facets = jobs.processing(
        "SnapshotFacets",
        role="bias-evaluator",
        image=images.job,
        entrypoint=module("snapshot"),
        arguments=["--view", "facets", "--lake-uri", lake_uri, "--as-of", as_of],
        inputs={
            "config": config["SnapshotFacets"],
            "training-manifest": output_uri(snapshot, "manifest"),
        },
        outputs={name: snapshot_uri("facets", name) for name in ("data", "manifest")},
        isolated=False,
        cached=False,
    )

    def validate(name: str, *, role: str, view: str, source: ProcessingStep) -> ProcessingStep:
        return jobs.processing(
            name,
            role=role,
            image=images.job,
            entrypoint=module("validate"),
            arguments=["--view", view],
            inputs={
                "config": config[name],
                "data": output_uri(source, "data"),
                "manifest": output_uri(source, "manifest"),
            },
            outputs=("verdict", "docs"),
            verdict=True,
        )

    validate_training = validate("Validate", role="broker", view="training", source=snapshot)
    validate_facets = validate(
        "ValidateFacets", role="bias-evaluator", view="facets", source=snapshot_facets
    )

    prepare = jobs.processing(
        "Prepare",
        role="training",
        image=images.job,
        entrypoint=module("prepare"),
        inputs={"config": config["Prepare"], "data": output_uri(snapshot, "data")},
        outputs=("train", "validation", "test", "meta"),
    )
    pre_bias = jobs.processing(
        "PreBias",
        role="bias-evaluator",
        image=images.bias,
        inputs={"config": config["PreBias"], "data": output_uri(snapshot_facets, "data")},
        outputs=("analysis_result",),
        root_output=True,
    )
    weights = jobs.processing(
        "Weights",
        role="bias-evaluator",
        image=images.job,
        entrypoint=module("weights"),
        inputs={
            "config": config["Weights"],
            "facets": output_uri(snapshot_facets, "data"),
            "train": output_uri(prepare, "train"),
        },
        outputs=("weights",),
    )
    train = jobs.training(
        "Train",
        role="training",
        image=images.train,
        channels={
            "train": output_uri(prepare, "train"),
            "validation": output_uri(prepare, "validation"),
            "weights": output_uri(weights, "weights"),
            "meta": output_uri(prepare, "meta"),
            "model": staged.weights_uri,
        },
        hyperparameters=_strings(recipe),
        checkpoints=f"{bucket}/checkpoints/{recipe.name}/",
    )
    compile_ = jobs.processing(
        "Compile",
        role="training",
        image=images.serving,
        entrypoint=["python3", "/opt/ml/processing/input/code/compile_model.py"],
        inputs={
            "code": staged.code.uri,
            "config": config["Compile"],
            "model": train.properties.ModelArtifacts.S3ModelArtifacts,
        },
        outputs=("artifact", "lock"),
        job=settings.jobs.scoring,
    )
    champion = jobs.processing(
        "ResolveChampion",
        role="registry-reader",
        image=images.job,
        entrypoint=module("resolve_champion"),
        arguments=["--registry", registry, "--model-package-group", recipe.model_package_group],
        environment=mlflow,
        inputs={},
        outputs=("champion",),
        isolated=False,
        cached=False,
    )
    evaluate = jobs.processing(
        "Evaluate",
        role="training",
        image=images.job,
        entrypoint=module("evaluate"),
        inputs={
            "config": config["Evaluate"],
            "artifact": output_uri(compile_, "artifact"),
            "train": output_uri(prepare, "train"),
            "validation": output_uri(prepare, "validation"),
            "test": output_uri(prepare, "test"),
            "champion": output_uri(champion, "champion"),
            "training-output": joined(
                train.properties.OutputDataConfig.S3OutputPath,
                train.properties.TrainingJobName,
                "output/output.tar.gz",
            ),
        },
        outputs=("predictions", "metrics", "decision", "verdict"),
        job=settings.jobs.scoring,
        verdict=True,
    )
    bias_input = jobs.processing(
        "BiasInput",
        role="bias-evaluator",
        image=images.job,
        entrypoint=module("bias_input"),
        inputs={
            "config": config["BiasInput"],
            "predictions": output_uri(evaluate, "predictions"),
            "facets": output_uri(snapshot_facets, "data"),
        },
        outputs=("data",),
    )
    post_bias = jobs.processing(
        "PostBias",
        role="bias-evaluator",
        image=images.bias,
        inputs={"config": config["PostBias"], "data": output_uri(bias_input, "data")},
        outputs=("analysis_result",),
        root_output=True,
    )
    judge_bias = jobs.processing(
        "JudgeBias",
        role="bias-evaluator",
        image=images.job,
        entrypoint=module("judge_bias"),
        inputs={
            "config": config["JudgeBias"],
            "pre-analysis": output_uri(pre_bias, "analysis_result"),
            "post-analysis": output_uri(post_bias, "analysis_result"),
            "data": output_uri(bias_input, "data"),
        },
        outputs=("verdict", "intervals"),
        verdict=True,
    )
    track = jobs.processing(
        "Track",
        role="registrar",
        image=images.job,
        entrypoint=module("track"),
        arguments=[
            "--execution-id", execution,
            "--recipe", recipe.name,
            "--experiment", recipe.model_package_group,
        ],
        environment=mlflow,
        inputs={
            "run-manifest": run_manifest_uri,
            "metrics": output_uri(evaluate, "metrics"),
            "decision": output_uri(evaluate, "decision"),
            "intervals": output_uri(judge_bias, "intervals"),
            "data-verdict": output_uri(validate_training, "verdict"),
            "facets-verdict": output_uri(validate_facets, "verdict"),
            "quality-verdict": output_uri(evaluate, "verdict"),
            "bias-verdict": output_uri(judge_bias, "verdict"),
        },
        outputs=("tracking", "verdicts"),
        isolated=False,
        cached=False,
    )  # fmt: skip
    register = jobs.processing(
        "Register",
        role="registrar",
        image=images.job,
        entrypoint=module("register"),
        arguments=[
            "--registry", registry,
            "--model-package-group", recipe.model_package_group,
            "--execution-id", execution,
            "--recipe", recipe.name,
        ],
        environment=mlflow,
        inputs={
            "config": config["Register"],
            "run-manifest": run_manifest_uri,
            "artifact": output_uri(compile_, "artifact"),
            "lock": output_uri(compile_, "lock"),
            "metrics": output_uri(evaluate, "metrics"),
            "decision": output_uri(evaluate, "decision"),
            "snapshot-manifest": output_uri(snapshot, "manifest"),
            "tracking": output_uri(track, "tracking"),
            "verdicts": output_uri(track, "verdicts"),
        },
        outputs=("registration",),
        isolated=False,
        cached=False,
    )  # fmt: skip

    model_gate = _gate("ModelGate", judged=(evaluate, judge_bias), then=[register])
    model_gate.add_depends_on([track])
    model_steps: list[Step] = [
        prepare, pre_bias, weights, train, compile_, champion, evaluate, bias_input, post_bias,
        judge_bias, track, model_gate,
    ]  # fmt: skip
    data_gate = _gate("DataGate", judged=(validate_training, validate_facets), then=model_steps)
    return Pipeline(
        name=f"{settings.project}-{settings.environment}-{recipe.name}",
        parameters=[lake_uri, as_of, registry, tracking_uri, run_manifest_uri],
        steps=[snapshot, snapshot_facets, validate_training, validate_facets, data_gate],
        sagemaker_session=session,
    )


def _gate(name: str, *, judged: Sequence[ProcessingStep], then: Sequence[Step]) -> ConditionStep:
    """Goes on with `then` only if every judged step's verdict passed; else fails, saying why."""

    def read(step: ProcessingStep, path: str) -> JsonGet:
        return JsonGet(step_name=step.name, property_file=f"{step.name}Verdict", json_path=path)

    summaries = [read(step, "summary") for step in judged]
    return ConditionStep(
        name=name,
        conditions=[ConditionEquals(left=read(step, "passed"), right=True) for step in judged],
        if_steps=list(then),
        else_steps=[FailStep(name=f"{name}Closed", error_message=Join(on="\n", values=summaries))],
    )


def _strings(recipe: Recipe) -> dict[str, str]:
    values = recipe.hyperparameters.model_dump(mode="json")
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in values.items()
    }
