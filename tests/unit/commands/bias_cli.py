"""`sashiko data bias` on a contract of loans and a file of its data."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from sashiko.cli import app
from sashiko.errors import InputError
from tests.unit.contract.documents import document, save

# 100 loans: old readers are late 10 of 50 times, young ones 25 of 50.
ROWS = [
    (f"L{n}", "old" if n < 50 else "young", "yes" if n < 10 or n >= 75 else "no")
    for n in range(100)
]
PREDICTED = [(key, "yes" if n < 20 or n >= 60 else "no") for n, (key, _, _) in enumerate(ROWS)]
DI = (20 / 50) / (40 / 50)


def csv_text(header: str, rows: Sequence[Sequence[object]]) -> str:
    return "".join(",".join(str(cell) for cell in row) + "\n" for row in [header.split(","), *rows])


class BiasCli:
    """A folder with a contract and a file of its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contract = save(document(), folder)
        self.data = self.write("data.csv", csv_text("loan_id,age,late", ROWS))
        self.predictions = self.write(
            "predictions.csv", csv_text("loan_id,predicted_label", PREDICTED)
        )

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def double(self, *columns: str, branches: Sequence[str] = ("",)) -> None:
        """Writes the loans twice, so that each group has the 100 rows that an interval takes."""
        rows = [
            (f"{copy}{key}", *rest, branches[n % len(branches)])[: len(columns)]
            for copy in "AB"
            for n, (key, *rest) in enumerate(ROWS)
        ]
        predicted = [(f"{copy}{key}", label) for copy in "AB" for key, label in PREDICTED]
        self.write("data.csv", csv_text(",".join(columns), rows))
        self.write("predictions.csv", csv_text("loan_id,predicted_label", predicted))

    def run(self, *options: object, data: Path | None = None) -> Result:
        arguments = ["data", "bias", str(data or self.data), "--contract", str(self.contract)]
        return CliRunner().invoke(app, [*arguments, *(str(option) for option in options)])

    def json(self, *options: object, data: Path | None = None) -> Any:
        result = self.run(*options, "--json", data=data)
        assert result.exit_code == 0, result.output or result.exception
        return json.loads(result.stdout)

    def refused(self, *options: object, data: Path | None = None) -> str:
        result = self.run(*options, data=data)
        assert isinstance(result.exception, InputError), result.output
        assert not result.stdout
        return str(result.exception)


def interval(value: Any, metric: str) -> dict[str, Any]:
    (interval,) = [item for item in value["intervals"] if item["metric"] == metric]
    return interval
