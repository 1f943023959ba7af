"""The fine-tuning pipeline: governed data to a registered model, every gate blocking.

SageMaker runs the definition that this module builds; `sashiko run` interprets the same one.
"""

from collections.abc import Sequence

from sagemaker.mlops.workflow import Pipeline
from sagemaker.mlops.workflow.steps import Step

from sashiko.aws.resources.names import pipeline_name
from sashiko.pipeline.sdk.bias import BiasEvaluator
from sashiko.pipeline.sdk.device import device_check
from sashiko.pipeline.sdk.gates import Gates
from sashiko.pipeline.sdk.governed import GovernedData
from sashiko.pipeline.sdk.jobs import Jobs, joined, output_uri
from sashiko.pipeline.sdk.parameters import parameters
from sashiko.pipeline.sdk.registration import Registration
from sashiko.pipeline.staging import run_manifest, serving_code, weights_uri
from sashiko.settings.recipe import Recipe


def build_pipeline(jobs: Jobs) -> Pipeline:
    """Builds the pipeline of one environment and one recipe; no cloud call is made.

    Args:
        jobs: makes the steps; it knows the channels that they read afterwards.

    Returns:
        The pipeline; `.definition()` is its JSON. Where the recipe says that bias is not judged it
        has no step that reads a facet, and none that judges bias.

    Raises:
        InputError: if the contract is not valid, or a step names a section or a module that is not
            there.
    """
    settings, recipe, images = jobs.settings, jobs.recipe, jobs.images
    given = parameters(settings, run_manifest_uri=run_manifest(settings).uri)
    governed = GovernedData(jobs=jobs, lake_uri=given.lake_uri, as_of=given.as_of)
    registration = Registration(
        jobs=jobs,
        registry=given.registry,
        tracking_uri=given.tracking_uri,
        run_manifest=given.run_manifest_uri,
    )

    snapshot, validate = governed.training()
    facets, validate_facets, bias = None, None, None
    if recipe.bias.judged:
        facets, validate_facets = governed.facets(snapshot)
        bias = BiasEvaluator(jobs=jobs, facets=facets)

    rows = output_uri(snapshot, "data")  # what is learned from, and explained
    prepare = jobs.processing(
        "Prepare",
        role="training",
        module="sashiko.steps.prepare",
        config=("contract", "data", "text"),
        inputs={"data": rows},
        outputs=("train", "validation", "test", "slices", "meta"),
    )
    pre_bias = bias.labels() if bias else None
    weights = bias.weights(prepare) if bias else None
    train = jobs.training(
        "Train",
        role="training",
        image=images.train,
        channels={
            "train": output_uri(prepare, "train"),
            "validation": output_uri(prepare, "validation"),
            **({"weights": output_uri(weights, "weights")} if weights else {}),
            "meta": output_uri(prepare, "meta"),
            "model": weights_uri(settings, recipe),
        },
        hyperparameters=_strings(recipe),
        # Of the recipe, and of the execution that prepared these rows: a later one that takes
        # them from the cache gets that job's name too, and Train stays in the cache, whose key
        # holds this URI ("Default cache key attributes by pipeline step type", Developer Guide).
        checkpoints=joined(
            f"{jobs.artifacts_uri}/checkpoints/{recipe.name}",
            (weights or prepare).properties.ProcessingJobName,
        ),
    )
    compile_ = jobs.processing(
        "Compile",
        role="training",
        image=images.compile,
        script="code/compile_model.py",
        config=("compile", "text"),
        inputs={
            "code": jobs.channel("code", serving_code()),
            "model": train.properties.ModelArtifacts.S3ModelArtifacts,
        },
        outputs=("artifact", "lock"),
        environment=images.serving.lock_environment(),
        job=settings.jobs.scoring,
    )
    champion = registration.champion()
    evaluate = jobs.processing(
        "Evaluate",
        role="training",
        module="sashiko.steps.evaluate",
        config=("evaluate", "quality", "train", "reweighing", "data"),
        inputs={
            "artifact": output_uri(compile_, "artifact"),
            "train": output_uri(prepare, "train"),
            "validation": output_uri(prepare, "validation"),
            "test": output_uri(prepare, "test"),
            "slices": output_uri(prepare, "slices"),
            "champion": output_uri(champion, "champion"),
            **({"weights": output_uri(weights, "weights")} if weights else {}),
            "training-output": joined(
                train.properties.OutputDataConfig.S3OutputPath,
                train.properties.TrainingJobName,
                "output/output.tar.gz",
            ),
        },
        outputs=("predictions", "metrics", "decision", "verdict"),
        job=settings.jobs.scoring,
    )
    explain = jobs.processing(
        "Explain",
        role="training",
        module="sashiko.steps.explain",
        config=("contract", "compile", "explain", "text"),
        inputs={
            "model": train.properties.ModelArtifacts.S3ModelArtifacts,
            "data": rows,
            "test": output_uri(prepare, "test"),
            "predictions": output_uri(evaluate, "predictions"),
        },
        outputs=("explanations", "texts"),
        job=settings.jobs.scoring,
    )
    bias_input, post_bias, judge_bias = None, None, None
    if bias:
        bias_input, post_bias, judge_bias = bias.predictions(evaluate, labels=pre_bias)
    verdicts = {
        "data-verdict": validate,
        "facets-verdict": validate_facets,
        "quality-verdict": evaluate,
        "bias-verdict": judge_bias,
    }
    found = {
        "metrics": output_uri(evaluate, "metrics"),
        "decision": output_uri(evaluate, "decision"),
    }
    intervals = {"intervals": output_uri(judge_bias, "intervals")} if judge_bias else {}
    track = registration.track(
        {
            "metrics": found["metrics"],
            **intervals,
            **({"facets-manifest": output_uri(facets, "manifest")} if facets else {}),
            "explanations": output_uri(explain, "explanations"),
            **{name: output_uri(step, "verdict") for name, step in verdicts.items() if step},
        },
    )
    device = device_check(
        jobs,
        evidence={
            "artifact": output_uri(compile_, "artifact"),
            "test": output_uri(prepare, "test"),
            "predictions": output_uri(evaluate, "predictions"),
            "decision": output_uri(evaluate, "decision"),
            "verdicts": output_uri(track, "verdicts"),
        },
    )
    register = registration.register(
        {
            "artifact": output_uri(compile_, "artifact"),
            "lock": output_uri(compile_, "lock"),
            **found,
            **intervals,
            "snapshot-manifest": output_uri(snapshot, "manifest"),
            "tracking": output_uri(track, "tracking"),
            "verdicts": output_uri(device, "verdicts"),
        },
        data_uri=output_uri(snapshot, "data"),
    )

    gates = Gates(settings=settings, session=jobs.session)
    data_judges = _present(validate, validate_facets)
    data_gate = gates.on_verdicts("DataGate", data_judges)
    model_steps = _present(
        prepare, pre_bias, weights, train, compile_, champion, evaluate, explain, bias_input,
        post_bias, judge_bias, track,
    )  # fmt: skip
    model_gate = gates.on_release("ModelGate", track)
    device_gate = gates.on_release("DeviceGate", device)
    _after(data_gate, model_steps)
    _after(model_gate, [device])
    _after(device_gate, [register])
    return Pipeline(
        name=pipeline_name(settings, recipe.name),
        parameters=given.all(),
        steps=[
            *_present(snapshot, facets),
            *data_judges,
            data_gate,
            *model_steps,
            model_gate,
            device,
            device_gate,
            register,
        ],
        # Runs are told apart in MLflow, and the pipeline role makes no experiment.
        pipeline_experiment_config=None,
        sagemaker_session=jobs.session,
    )


def _present(*steps: Step | None) -> list[Step]:
    """Leaves out the steps that a pipeline does not have."""
    return [step for step in steps if step is not None]


def _after(gate: Step, steps: Sequence[Step]) -> None:
    """Lets steps start only once a gate has let the run through, whatever else they wait for."""
    for step in steps:
        step.add_depends_on([gate])


def _strings(recipe: Recipe) -> dict[str, str]:
    values = recipe.hyperparameters.model_dump(mode="json")
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in values.items()
    }
