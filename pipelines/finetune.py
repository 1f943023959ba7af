"""The fine-tuning pipeline: from governed data to a registered model, with blocking gates.

SageMaker runs the definition that this module builds; `sashiko run` interprets the same definition.
"""

from sagemaker.mlops.workflow import Pipeline

from sashiko.account.names import pipeline_name
from sashiko.pipeline.sdk.bias import BiasEvaluator
from sashiko.pipeline.sdk.device import device_check
from sashiko.pipeline.sdk.gates import Gates
from sashiko.pipeline.sdk.governed import GovernedData
from sashiko.pipeline.sdk.jobs import Jobs, Part, PartOutput, join_uri, output_uri
from sashiko.pipeline.sdk.parameters import parameters
from sashiko.pipeline.sdk.registration import Registration
from sashiko.pipeline.staging import run_manifest, serving_code, weights_uri


def build_pipeline(jobs: Jobs) -> Pipeline:
    """Builds the pipeline of one environment and one recipe, without a call to AWS.

    Args:
        jobs: creates the steps, and collects the channels that have to be staged for them.

    Returns:
        The pipeline; `.definition()` is its JSON. With `bias.judged: false` in the recipe, no step
        reads a facet or judges bias.

    Raises:
        InputError: if the contract is not valid, or a step names a section or a module that does
            not exist.
    """
    settings, recipe, images = jobs.settings, jobs.recipe, jobs.images
    params = parameters(settings, run_manifest_uri=run_manifest(settings).uri)
    governed = GovernedData(jobs=jobs, lake_uri=params.lake_uri, as_of=params.as_of)
    registration = Registration(
        jobs=jobs,
        registry=params.registry,
        tracking_uri=params.tracking_uri,
        run_manifest=params.run_manifest_uri,
    )

    # Data: snapshots of the governed lake, each validated against the contract.
    snapshot, validate = governed.training()
    facets, validate_facets, bias = None, None, None
    if recipe.bias.judged:
        facets, validate_facets = governed.facets(snapshot)
        bias = BiasEvaluator(jobs=jobs, facets=facets)

    # Training: split the rows and weigh them while they are validated, then train.
    rows = output_uri(snapshot, "data")
    # A linear model reads rows, and has no pre-trained weights.
    linear = () if recipe.model.pretrained else ("model",)
    prepare = jobs.processing(
        "Prepare",
        role="training",
        module="sashiko.steps.prepare",
        config=("contract", "data", "text", *linear),
        inputs={"data": rows},
        outputs=("train", "validation", "test", "slices", "meta"),
    )
    weights = bias.weights(rows) if bias else None
    # Each gate fails the execution, or lets the steps start that are created after it.
    gates = Gates(jobs=jobs)
    gates.on_verdicts("DataGate", [step for step in (validate, validate_facets) if step])
    # Beside Train: a version that is approved meanwhile is not compared with.
    champion = registration.champion()
    weights_input = {"weights": output_uri(weights, "weights")} if weights else {}
    base = weights_uri(settings, recipe)
    # A causal LM is trained by an adapter, which only its base model makes whole.
    base_input = {"base": base} if recipe.model.family == "causal" else {}
    train = jobs.training(
        "Train",
        role="training",
        image=images.train,
        channels={
            "train": output_uri(prepare, "train"),
            "validation": output_uri(prepare, "validation"),
            **weights_input,
            "meta": output_uri(prepare, "meta"),
            **({} if linear else {"model": base}),
        },
        hyperparameters=jobs.hyperparameters,
        # The URI names the recipe and the job that prepared these rows. SageMaker's cache key of
        # Train includes it ("Default cache key attributes by pipeline step type", Developer Guide);
        # an execution that takes Prepare from the cache gets the same job name, so Train stays
        # cached too.
        checkpoints=join_uri(
            f"{jobs.artifacts_uri}/checkpoints/{recipe.name}",
            (weights or prepare).properties.ProcessingJobName,
        ),
    )
    # Evaluation: what is served, and its quality, in one job where one image and instance fit.
    compile_part = Part(
        name="Compile",
        role="training",
        image=images.compile,
        script="code/compile_model.py",
        config=("compile", "text"),
        inputs={
            "code": jobs.channel("code", serving_code(recipe.compile.target)),
            "model": train.properties.ModelArtifacts.S3ModelArtifacts,
            **base_input,
        },
        outputs=("artifact", "lock"),
        environment=images.serving.lock_environment(),
        job=settings.jobs.scoring,
    )
    artifact = PartOutput("Compile", "artifact")
    score_part = Part(
        name="Score",
        role="training",
        module="sashiko.steps.score",
        inputs={
            "artifact": artifact,
            "validation": output_uri(prepare, "validation"),
            "test": output_uri(prepare, "test"),
            "champion": output_uri(champion, "champion"),
        },
        outputs=("scores",),
        job=settings.jobs.scoring,
        instances=settings.jobs.scoring.instance_count,
    )
    evaluate_part = Part(
        name="Evaluate",
        role="training",
        module="sashiko.steps.evaluate",
        config=(
            *("evaluate", "quality", "train", "reweighing", "data"),
            *(("prompt",) if recipe.prompt else ()),
            *linear,
        ),
        inputs={
            "artifact": artifact,
            "train": output_uri(prepare, "train"),
            "validation": output_uri(prepare, "validation"),
            "test": output_uri(prepare, "test"),
            "slices": output_uri(prepare, "slices"),
            "scores": PartOutput("Score", "scores"),
            "champion": output_uri(champion, "champion"),
            **weights_input,
            "training-output": join_uri(
                train.properties.OutputDataConfig.S3OutputPath,
                train.properties.TrainingJobName,
                "output/output.tar.gz",
            ),
        },
        outputs=("predictions", "metrics", "decision", "verdict", "evidence"),
        job=settings.jobs.scoring,
    )
    compile_, _, evaluate = jobs.chain(compile_part, score_part, evaluate_part)
    explain = jobs.processing(
        "Explain",
        role="training",
        module="sashiko.steps.explain",
        config=("contract", "compile", "explain", "text"),
        inputs={
            "model": train.properties.ModelArtifacts.S3ModelArtifacts,
            **base_input,
            "data": rows,
            "test": output_uri(prepare, "test"),
            "predictions": output_uri(evaluate, "predictions"),
        },
        outputs=("explanations", "texts"),
        job=settings.jobs.scoring,
    )
    bias_input, judge_bias = None, None
    if bias:
        bias_input, judge_bias = bias.post_training(
            evaluate, pre_bias=bias.pre_training(), champion=champion
        )
    intervals_input = {"intervals": output_uri(judge_bias, "intervals")} if judge_bias else {}

    # Registration: check the artifact on its device, track the evidence, register the version.
    device = device_check(
        jobs,
        evidence={
            "artifact": output_uri(compile_, "artifact"),
            "test": output_uri(prepare, "test"),
            "predictions": output_uri(evaluate, "predictions"),
            "decision": output_uri(evaluate, "decision"),
        },
    )
    judged = {
        "data": validate,
        "facets": validate_facets,
        "quality": evaluate,
        "bias": judge_bias,
    }
    track = registration.track(
        {
            "metrics": output_uri(evaluate, "metrics"),
            **intervals_input,
            "explanations": output_uri(explain, "explanations"),
            **{
                f"{name}-verdict": output_uri(step, "verdict")
                for name, step in judged.items()
                if step
            },
        }
    )
    # It waits for what Track waits for: a run that it blocks is tracked.
    judges = [step for step in (evaluate, judge_bias) if step]
    gates.on_verdicts("ModelGate", judges, waivable=True, after=[explain])
    gates.on_verdicts("DeviceGate", [device], waivable=True)
    register = registration.register(
        {
            "artifact": output_uri(compile_, "artifact"),
            "lock": output_uri(compile_, "lock"),
            "explanations": output_uri(explain, "explanations"),
            **{
                f"{name}-evidence": output_uri(step, "evidence")
                for name, step in judged.items()
                if step
            },
            # An input is a prefix of keys, and `verdicts` lies beside it.
            "device-verdict": join_uri(output_uri(device, "verdict"), ""),
        },
        data_uri=output_uri(snapshot, "data"),
        monitoring={
            "reference": output_uri(evaluate, "metrics"),
            "test": output_uri(prepare, "test"),
            **({"bias-rows": output_uri(bias_input, "data")} if bias_input else {}),
        },
    )

    return jobs.pipeline(
        name=pipeline_name(settings, recipe.name),
        parameters=params.all(),
        ends=[track, register],
    )
