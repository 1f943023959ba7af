import json
import os
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.definition.job_arguments import job_arguments
from sashiko.pipeline.runner.local_job import Image, Job, make_job
from sashiko.pipeline.runner.process import Processes, StoppedError


def job_of(step: dict[str, Any]) -> Job:
    [parsed] = parse_definition({"Steps": [step]}).steps
    return make_job(
        parsed.name, job_arguments(parsed, step["Arguments"]), name="job-1",
        images={"train": Image(("python3", "-m", "trainer"))}, resolved=step["Arguments"],
    )  # fmt: skip


def test_a_training_image_is_started_with_train_or_by_its_own_entrypoint(tiny: Any) -> None:
    step = tiny.training("T", "")
    del step["Arguments"]["AlgorithmSpecification"]["ContainerEntrypoint"]
    assert job_of(step).command == ("python3", "-m", "trainer", "train")

    step["Arguments"]["AlgorithmSpecification"] |= {
        "ContainerEntrypoint": ["run"],
        "ContainerArguments": ["--fast"],
    }
    assert job_of(step).command == ("run", "--fast")


def run(processes: Processes, folder: Path, *argv: str) -> tuple[int, list[str]]:
    lines: list[str] = []
    process_exit = processes.run(
        argv, environment={"PATH": os.environ["PATH"]}, folder=folder, log=folder / "logs/x.log",
        on_line=lines.append, max_seconds=None,
    )  # fmt: skip
    return process_exit.status, lines


def test_nothing_starts_once_it_is_stopped(tmp_path: Path) -> None:
    processes = Processes(1)
    processes.stop_launching()
    with pytest.raises(StoppedError):
        run(processes, tmp_path, "true")
    with pytest.raises(StoppedError), processes.cores(all_cores=False):
        pass


def test_a_job_of_all_cores_begins_beside_others_and_none_begins_beside_it() -> None:
    processes, order = Processes(2), list[str]()
    begun, ended = Event(), Event()

    def use(name: str, *, all_cores: bool = False, until: Event | None = None) -> None:
        with processes.cores(all_cores=all_cores):
            order.append(name)
            if until:
                begun.set()
                assert until.wait(20)

    with ThreadPoolExecutor() as workers, processes.cores(all_cores=False):
        training = workers.submit(use, "training", all_cores=True, until=ended)
        assert begun.wait(20)
        after = [
            workers.submit(use, "short"),
            workers.submit(use, "another training", all_cores=True),
        ]
        assert not wait(after, timeout=0.2).done
        assert order == ["training"]
        ended.set()
        for future in (training, *after):
            future.result(20)
    assert set(order[1:]) == {"short", "another training"}


WRITE = """
hosts = json.loads((ML / "config/resourceconfig.json").read_text())
name = hosts["current_host"]
(OUT / "out" / name).write_text(json.dumps([hosts["hosts"], sorted(os.listdir(IN / "rows"))]))
print("wrote", name)
"""

FIRST_TIME = """
if name == "algo-2" and not pathlib.Path(sys.argv[1]).exists():
    pathlib.Path(sys.argv[1]).touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_each_instance_has_a_name_and_all_inputs_and_the_output_has_what_all_wrote(tiny: Any):
    for name in "ab":
        tiny.put(f"s3://b/rows/{name}", name)
    record = tiny.run(tiny.job("A", WRITE, inputs={"rows": "s3://b/rows"}, instances=3))
    names = ["algo-1", "algo-2", "algo-3"]
    output = {
        path.name: json.loads(path.read_text()) for path in tiny.output(record, "A").iterdir()
    }
    assert output == {name: [names, ["a", "b"]] for name in names}
    log = (tiny.home / "runs/run-1/logs/A.log").read_text()
    assert log == "".join(f"== {name}\nwrote {name}\n" for name in names)
    assert not (tiny.home / "runs/run-1/work").exists()


def test_the_instances_work_side_by_side(tiny: Any, status_of: Any, tmp_path: Any) -> None:
    meet = """
me = json.loads((ML / "config/resourceconfig.json").read_text())["current_host"]
folder = pathlib.Path(sys.argv[1])
(folder / me).touch()
deadline = time.monotonic() + 300
while not all((folder / name).exists() for name in ("algo-1", "algo-2")):
    assert time.monotonic() < deadline, "the other instance was not started"
    time.sleep(0.01)
"""
    record = tiny.run(tiny.job("A", meet, arguments=[str(tmp_path)], instances=2), cores=1)
    assert status_of(record) == {"A": "succeeded"}


def test_an_instance_that_is_lost_fails_the_step_which_is_then_done_again_as_a_whole(
    tiny: Any, status_of: Any, tmp_path: Any
) -> None:
    tiny.put("s3://b/rows/a", "a")
    step = tiny.job(
        "A", WRITE + FIRST_TIME, inputs={"rows": "s3://b/rows"}, arguments=[str(tmp_path / "lost")],
        instances=2,
    )  # fmt: skip
    use = tiny.job("Use", inputs={"in": tiny.uri("A")})
    record = tiny.run(step, use)
    assert status_of(record) == {"A": "failed", "Use": "not_run"}
    assert record.step("A").reason.startswith("algo-2: killed by SIGKILL")
    assert not list(tiny.home.glob("s3/b/runs/**/*"))
    record = tiny.run(step, use)
    assert status_of(record) == {"A": "succeeded", "Use": "succeeded"}
    assert sorted(path.name for path in tiny.output(record, "A").iterdir()) == ["algo-1", "algo-2"]


def test_a_file_that_two_instances_write_is_refused(tiny: Any) -> None:
    step = tiny.run(tiny.job("A", "(OUT / 'out/x').touch()", instances=2)).step("A")
    assert step.status == "failed"
    assert "output out: two instances write x" in step.reason


@pytest.mark.parametrize("instances", [1, 2])
def test_a_result_of_fewer_instances_is_taken_as_sagemaker_takes_it(tiny, status_of, instances):
    tiny.put("s3://b/rows/a", "a")
    for count, status in ((1, "succeeded"), (instances, "cached")):
        record = tiny.run(tiny.job("A", WRITE, inputs={"rows": "s3://b/rows"}, instances=count))
        assert status_of(record) == {"A": status}
