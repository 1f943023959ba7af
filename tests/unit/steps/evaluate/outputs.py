"""An Evaluate job is run, and what it wrote is read."""

import pyarrow.parquet as pq

from sashiko.evaluation.evaluation_record import read_decision, read_evaluation
from sashiko.evaluation.gates.verdict import read_verdict
from tests.unit.steps import evaluate_job


def run(root):
    evaluate_job.run_evaluate()
    outputs = root / "processing" / "output"
    return (
        read_evaluation(outputs / "metrics" / "metrics.json"),
        read_decision(outputs / "decision" / "decision.json"),
        read_verdict(outputs / "verdict"),
    )


def predictions(root):
    path = root / "processing" / "output" / "predictions" / "predictions.parquet"
    return pq.read_table(path).to_pylist()
