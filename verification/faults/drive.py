"""Runs the short pipeline in a home folder, as a process that can be killed.

`python verification/faults/drive.py HOME DEFINITION [back]`; the exit status is the run's. With
`back` its clock goes back a day each time that it is read.
"""

import itertools
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

from sashiko.errors import InputError
from sashiko.functions import gatekeeper_handler
from sashiko.pipeline.runner import run_record
from sashiko.pipeline.runner.definition_run import run_definition
from sashiko.pipeline.runner.local_job import Image
from sashiko.pipeline.runner.run_record import View


class ClockSetBack(datetime):
    """A clock that goes back."""

    days = itertools.count(1)

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) - timedelta(days=next(cls.days))


if sys.argv[3:] == ["back"]:
    run_record.datetime = ClockSetBack
home, arguments = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
exec(arguments["dies"])  # noqa: S102 - what the steps do too
die_at(home.with_name(f"{home.name}-runner-dies"), home)  # type: ignore[name-defined] # noqa: F821 - defined by the faults before it
try:
    done = run_definition(
        arguments["definition"],
        home=home,
        images={"job": Image(("python3",)), "train": Image(("python3",))},
        functions={"gate": gatekeeper_handler.judge},
        parameters={},
        pipeline="short",
        run_id=run_record.new_run_id(home),
        view=View(sys.stderr),
        evidence={"recipe.yaml": b"name: short\n"},
        cores=2,
    )
except InputError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)
print(done.id)
sys.exit(done.exit_code)
