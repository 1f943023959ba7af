"""`sashiko new`: a small project that depends on the engine, and holds what a team owns."""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from sashiko.base.files import sha256_file
from sashiko.pipeline.project import source
from sashiko.project.project_upgrade import read_answers
from sashiko.project.wheel import open_wheel
from sashiko.registry.attestation import read_statement
from sashiko.steps.register import package_hash
from tests.e2e.retouren import make_retouren
from tests.e2e.scaffold.projects import ALL_PACKS, PACK_FILES, Project, new
from tests.project_root import REPOSITORY
from tests.unit.registry.test_chain import hold_against_the_published_schema

STRANGE_NAME = "Retouren März.csv"
DEFAULT = tuple({"monitoring"} & {*ALL_PACKS})


def test_it_is_small(made: Project) -> None:
    texts = {name: text for name, text in made.files().items() if not name.endswith(".whl")}
    assert len(made.files()) < 70
    assert sum(text.count(b"\n") for text in texts.values()) <= 3000


def test_its_files_are_this_repositorys(made: Project) -> None:
    """But for those that a project alone has, and the names and accounts in settings."""
    same = [
        name
        for name, content in made.files().items()
        if (REPOSITORY / name).is_file() and (REPOSITORY / name).read_bytes() == content
    ]
    for name in ("Makefile", "cdk.json", "contracts/complaints.odcs.yaml", "infra/app.py"):
        assert name in same
    stacks = {path.name for path in (REPOSITORY / "infra/stacks").glob("*.py")}
    assert {Path(name).name for name in same if name.startswith("infra/stacks/")} == stacks


def test_the_engine_is_pinned_by_the_hash_of_the_wheel_in_vendor(made: Project, wheel: Path):
    pinned = (made.root / "requirements/engine.txt").read_text()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert f"./vendor/{wheel.name} --hash=sha256:{digest}\n" in pinned
    assert (made.root / "vendor" / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_wheel_has_the_same_bytes_each_time(wheel: Path, tmp_path: Path) -> None:
    again = subprocess.run(
        [sys.executable, "-m", "sashiko.project", str(tmp_path)], cwd=REPOSITORY,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    path = Path(again.stdout.strip())
    assert path.read_bytes() == wheel.read_bytes()
    statement = open_wheel(path).statement.read_bytes()
    assert statement == open_wheel(wheel).statement.read_bytes()


def test_the_wheels_statement_is_of_what_is_installed_and_comes_along(made, wheel, tmp_path):
    content = open_wheel(wheel).statement.read_bytes()
    hold_against_the_published_schema(content)
    statement = read_statement(content, build="wheel")
    assert statement.subject_digest(wheel.name) == sha256_file(wheel)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    (package,) = [item for item in statement.subject if item.name == "sashiko/"]
    assert package.digest == {"dirHash": package_hash(tmp_path / "sashiko")}
    commit, lock = (statement.dependency(name) for name in ("commit", "requirements/run.txt"))
    assert commit and commit.digest == {"gitCommit": source(REPOSITORY).git_sha}
    assert lock and lock.sha256 == sha256_file(REPOSITORY / "requirements/run.txt")
    (there,) = (made.root / "vendor").glob("*.provenance.json")
    assert there.read_bytes() == content


def test_its_name_is_the_folders_and_no_other_name_is_left(made: Project) -> None:
    settings = yaml.safe_load((made.root / "config/base.yaml").read_text())
    assert settings["project"] == "loan-triage"
    assert settings["contracts"] == ["complaints"]
    assert (made.root / "src/loan_triage/steps/text_lengths.py").is_file()
    for name, content in made.files().items():
        if not name.endswith(".whl"):
            assert b"{{" not in content.replace(b"${{", b""), name
            assert str(REPOSITORY).encode() not in content, name


def test_answers_are_written_where_they_belong(tmp_path: Path, wheel: Path) -> None:
    answers = {
        "project": "acme", "package": "acme_ml", "dev_account": "222222222222",
        "prod_account": "333333333333", "region": "eu-central-1", "engine_source": "index",
        "qualifier": "acme1",
    }  # fmt: skip
    options = [f"--answer={key}={value}" for key, value in answers.items()]
    done = new(tmp_path / "folder", "--defaults", *options, wheel=wheel)
    assert done.returncode == 0, done.stderr
    root = tmp_path / "folder"
    settings = yaml.safe_load((root / "config/base.yaml").read_text())
    assert [settings[key] for key in ("project", "qualifier", "region")] == [
        "acme", "acme1", "eu-central-1",
    ]  # fmt: skip
    assert 'account: "222222222222"' in (root / "config/dev.yaml").read_text()
    assert 'account: "333333333333"' in (root / "config/prod.yaml").read_text()
    assert '"acme_ml.steps.text_lengths"' in (root / "pipelines/finetune.py").read_text()
    assert re.search(r"^sashiko==\S+ --hash", (root / "requirements/engine.txt").read_text(), re.M)
    assert not (root / "vendor").exists()
    assert "vendor" not in (root / "images/job/Dockerfile").read_text()
    assert answers.items() <= read_answers(root).items()


@pytest.mark.slow
def test_the_definition_has_the_projects_own_step(made: Project) -> None:
    built = made.sashiko("definition")
    assert built.returncode == 0, built.stderr
    (step,) = [s for s in json.loads(built.stdout)["Steps"] if s["Name"] == "TextLengths"]
    entry = step["Arguments"]["AppSpecification"]["ContainerEntrypoint"]
    assert entry == ["python3", "-m", "loan_triage.steps.text_lengths"]


@pytest.mark.parametrize("image", ["job", "serving"])
def test_an_images_tag_covers_the_engine_and_the_package(made: Project, image: str) -> None:
    code = "from sashiko.account.images.job_images import copied_files as c; print(*c({!r}))"
    copied = made.python("-c", code.format(f"images/{image}/Dockerfile"))
    files = set(copied.stdout.split())
    wheels = {name for name in files if re.fullmatch(r"vendor/sashiko-.*\.whl", name)}
    assert len(wheels) == 1, copied.stderr
    assert "requirements/engine.txt" in files
    assert ("src/loan_triage/steps/text_lengths.py" in files) is (image == "job")


def test_lint_finds_nothing(made: Project) -> None:
    for command in (("check",), ("format", "--check")):
        done = made.python("-m", "ruff", *command, "--no-cache", ".")
        assert done.returncode == 0, done.stdout


def test_modules_of_the_page_on_changes_pass_a_projects_lint_as_printed(made: Project) -> None:
    page = (REPOSITORY / "docs/change.md").read_text(encoding="utf-8")
    modules = [code for code in re.findall(r"```python\n(.*?)```", page, re.S) if code[0] == '"']
    assert len(modules) >= 6
    for code in modules:
        for command in (("check",), ("format", "--check")):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--no-cache", "--stdin-filename",
                 "src/loan_triage/pasted.py", "-"],
                cwd=made.root, input=code, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_its_own_tests_pass(made: Project) -> None:
    done = made.python("-m", "pytest", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Project:
    """A project of a team's own file."""
    folder = tmp_path_factory.mktemp("own")
    make_retouren(folder / STRANGE_NAME)
    options = ("--data", folder / STRANGE_NAME, "--label", "Erstattet", "--facet", "Geschlecht")
    done = new(folder / "retouren", "--defaults", *options, wheel=wheel)
    assert done.returncode == 0, done.stderr
    return Project(folder / "retouren")


def review(project: Project) -> None:
    """Removes the marks as a person does who agrees with every line."""
    for path in project.root.glob("*/retouren-marz.*"):
        path.write_text(re.sub(r"  # review: .*", "", path.read_text()))


def test_a_file_of_ones_own_takes_the_samples_place(german: Project) -> None:
    contracts = [path.name for path in (german.root / "contracts").iterdir()]
    assert contracts == ["retouren-marz.odcs.yaml"]
    settings = yaml.safe_load((german.root / "config/base.yaml").read_text())
    assert settings["recipe"] == "retouren-marz"
    assert settings["contracts"] == ["retouren-marz"]
    assert read_answers(german.root)["data_file"] == f"data/{STRANGE_NAME}"
    assert "Geschlecht" in (german.root / "contracts/retouren-marz.odcs.yaml").read_text()
    assert german.git("init", "--quiet") is not None
    assert german.git("check-ignore", f"data/{STRANGE_NAME}")


@pytest.mark.slow
def test_a_draft_waits_for_its_review_and_then_its_definition_is_valid(german: Project) -> None:
    done = german.sashiko("definition", "--check")
    assert done.returncode == 1
    assert "# review" in done.stderr
    review(german)
    done = german.sashiko("definition", "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_without_the_samples_its_own_tests_pass(german: Project) -> None:
    review(german)
    done = german.python("-m", "pytest", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


EACH_TIME = [
    (("--defaults", "--answer=region=Frankfurt"), "eu-central-1"),
    ((), "there is no terminal to ask in: add --defaults"),
    (("--defaults", "--facet", "Group"), "--facet=Group applies to a data file: add --data and"),
    (("--defaults", "--answer", "proyect=acme"), "proyect=...: there is no such question; known"),
    (("--defaults", "--packs", f"{ALL_PACKS[0]},sweeps"), f"between them: {', '.join(ALL_PACKS)}"),
]
WEEKLY = [
    (("--defaults", "--answer=project=Acme_1"), "lower-case letters"),
    (("--defaults", "--answer=dev_account=1"), "twelve digits"),
    (("--defaults", "--answer=package=infra"), "that name is taken"),
    (("--defaults", "--answer=acme"), "--answer acme: expected KEY=VALUE"),
    (("--defaults", "--data=gone.csv", "--label=x"), "gone.csv does not exist"),
    (("--defaults", "--data=gone.csv"), "--data and --label go together"),
]


@pytest.mark.parametrize(
    ("options", "message"),
    [*EACH_TIME, *(pytest.param(*case, marks=pytest.mark.slow) for case in WEEKLY)],
)
def test_what_is_wrong_is_named_and_nothing_is_left(tmp_path, wheel, options, message):
    done = new(tmp_path / "project", *options, wheel=wheel)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_label_that_the_file_lacks_leaves_nothing(tmp_path: Path, wheel: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,refund\nlong enough,yes\nother text,no\n")
    options = ("--defaults", "--data", tmp_path / "rows.csv", "--label", "refunds")
    done = Project(tmp_path).sashiko("new", "project", "--engine", wheel, *options)
    assert done.returncode == 1
    assert "refunds" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_a_folder_with_files_is_left_alone(tmp_path: Path, wheel: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/mine.txt").write_text("mine")
    done = new(tmp_path / "project", "--defaults", wheel=wheel)
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert [path.name for path in (tmp_path / "project").iterdir()] == ["mine.txt"]


def test_what_is_no_wheel_of_the_engine_is_named(tmp_path: Path) -> None:
    (tmp_path / "other-1.0-py3-none-any.whl").write_bytes(b"")
    done = new(tmp_path / "project", "--defaults", wheel=tmp_path / "other-1.0-py3-none-any.whl")
    assert done.returncode == 1
    assert "expected a file sashiko-<version>-py3-none-any.whl" in done.stderr


@pytest.mark.slow
def test_the_options_of_a_draft_reach_it_and_the_next_step_is_the_review(tmp_path, wheel: Path):
    days = [f"{1 + n % 12:02d}/{1 + n // 12 % 12:02d}/2025" for n in range(120)]  # either order
    rows = [f"R{n};{day};{n}.250;{'yes' if n % 3 else 'no'}" for n, day in enumerate(days)]
    file = tmp_path / "visits.csv"
    file.write_text("\n".join(["Visit ID;On;Weight;Came", *rows]))
    about = ("--defaults", "--data", file, "--label", "Came")
    refused = Project(tmp_path).sashiko("new", "refused", "--engine", wheel, *about)
    assert refused.returncode == 1
    assert "add --date-order dmy or --date-order mdy" in refused.stderr
    assert not (tmp_path / "refused").exists()

    options = ("--date-order", "mdy", "--decimal", "point", "--delimiter", "semicolon")
    done = new(tmp_path / "made", *about, *options, "--encoding", "utf-8", wheel=wheel)
    assert done.returncode == 0, done.stderr
    contract = (tmp_path / "made/contracts/visits.odcs.yaml").read_text()
    assert "format: MM/dd/yyyy" in contract
    files = ("contracts/visits.odcs.yaml", "recipes/visits.yaml")
    guesses = sum((tmp_path / "made" / name).read_text().count("  # review:") for name in files)
    *_, step = done.stderr.splitlines()
    assert f"review the {guesses} guesses in {files[0]} and {files[1]}; then" in step
    assert step.index("contract check") < step.index("make run")


@pytest.mark.parametrize(("name", "project"), [("Über", "uber"), ("123", "project-123")])
def test_a_folders_name_that_cannot_be_a_projects_is_not_changed_silently(
    tmp_path: Path, wheel: Path, name: str, project: str
) -> None:
    done = new(tmp_path / name, "--defaults", wheel=wheel)
    assert done.returncode == 0, done.stderr
    settings = yaml.safe_load((tmp_path / name / "config/base.yaml").read_text())
    assert settings["project"] == project
    assert f"project: {project}, the prefix of AWS names, as {name} cannot be one" in done.stderr
    assert "--answer project=NAME" in done.stderr


@pytest.mark.parametrize(
    ("options", "packs"),
    [
        pytest.param(("--packs", ""), (), id="none", marks=pytest.mark.slow),
        pytest.param((), DEFAULT, id="default"),
        pytest.param(("--packs", ",".join(ALL_PACKS)), ALL_PACKS, id="all", marks=pytest.mark.slow),
    ],
)
def test_a_project_has_what_its_packs_need(tmp_path, wheel, options, packs):
    done = new(tmp_path / "acme", "--defaults", *options, wheel=wheel)
    assert done.returncode == 0, done.stderr
    project = Project(tmp_path / "acme")
    settings = yaml.safe_load((project.root / "config/base.yaml").read_text())
    assert settings["packs"] == [*packs]
    assert {"batch", "bedrock"} & settings.keys() == {"batch", "bedrock"} & {*packs}
    for pack, file in PACK_FILES.items():
        assert (project.root / file).is_file() == (pack in packs)
    helped = project.sashiko("--help").stdout + project.sashiko("env", "--help").stdout
    for command, pack in {
        "monitor": "monitoring",
        "select": "selection",
        "drift": "operations",
    }.items():
        assert (f"│ {command} " in helped) == (pack in packs), helped
    if "operations" in ALL_PACKS:  # `make destroy` does not need it to be on
        helped = subprocess.check_output(["make", "help"], cwd=project.root, text=True)
        assert "make destroy " in helped
        done = project.python("-m", "sashiko_packs.operations", "--env", "prod")
        assert "prod keeps its data" in done.stdout, done.stderr
    done = project.sashiko("definition", "--check", "--env", "dev")
    assert done.returncode == 0, done.stderr
