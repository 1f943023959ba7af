import datetime as dt
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sashiko.errors import InputError
from verification.supply import audit
from verification.supply.tests.stub_osv import StubOsv, stub_osv

HASH = "--hash=sha256:" + "0" * 64
NPM = '{"lockfileVersion": 3, "packages": {"": {}, "node_modules/aws-cdk": %s}}'
CDK = '{"version": "2.1.0", "integrity": "sha512-YWJj", "license": "Apache-2.0"}'
TOMORROW = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
YESTERDAY = TOMORROW - dt.timedelta(days=2)


@pytest.fixture
def osv() -> Iterator[StubOsv]:
    with stub_osv() as stub:
        yield stub


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/run.txt").write_text(
        f"# made by uv\nSafe_Tensors==0.5 \\\n    {HASH}\n    # via -r run.in\n"
        f"numpy==2.0 \\\n    {HASH}\n"
    )
    (tmp_path / "requirements/job.txt").write_text(f"numpy==2.0 \\\n    {HASH} \\\n    {HASH}\n")
    (tmp_path / "requirements/torch.txt").write_text("torch==2.9.0\n")
    (tmp_path / "package-lock.json").write_text(NPM % CDK)
    accept(tmp_path)
    return tmp_path


def accept(root: Path, *entries: str) -> None:
    lines = ["accepted:", *(f"  - {{{entry}}}" for entry in entries)]
    text = "\n".join(lines) if entries else "accepted: []"
    (root / "requirements/accepted.yaml").write_text(f"{text}\n")


def run(root: Path, service: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["audit", "--service", service, "--locks", str(root)])
    return audit.main()


def test_each_package_of_each_lock_is_queried_once(
    root: Path, osv: StubOsv, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, osv.url, monkeypatch) == 0
    packages = {
        (q["package"]["ecosystem"], q["package"]["name"], q["version"]) for q in osv.queries
    }
    assert packages == {
        ("PyPI", "safe-tensors", "0.5"),
        ("PyPI", "numpy", "2.0"),
        ("PyPI", "torch", "2.9.0"),
        ("npm", "aws-cdk", "2.1.0"),
    }
    assert len(osv.queries) == 4
    output = capsys.readouterr()
    assert output.out == ""
    assert "4 packages: 0 open findings" in output.err


def test_a_finding_says_what_where_and_what_helps(
    root: Path, osv: StubOsv, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    osv.know(
        "GHSA-1", "numpy", "2.0", fixed="2.1", aliases=["CVE-1", "PYSEC-1"], summary="Reads past it"
    )
    osv.know("PYSEC-1", "numpy", "2.0", fixed="2.1", aliases=["CVE-1", "GHSA-1"])
    assert run(root, osv.url, monkeypatch) == 4
    assert capsys.readouterr().out == (
        "numpy 2.0 (job, run): GHSA-1, CVE-1, PYSEC-1: Reads past it; fixed in 2.1\n"
    )


def test_findings_on_later_pages_are_read_too(
    root: Path, osv: StubOsv, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    osv.page = 2
    for number in range(5):
        osv.know(f"GHSA-{number}", "torch", "2.9.0", details=f"Fault {number}\nmore")
    assert run(root, osv.url, monkeypatch) == 4
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1] for line in lines] == [f"GHSA-{number}" for number in range(5)]
    assert lines[3].endswith("Fault 3; no fixed version is known")


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (503, b"", "HTTP 503"),
        (200, b"<html>a proxy's page</html>", "Expecting value"),
        (200, b'{"results": []}', "answered 0 of 4 questions"),
        (200, b'{"message": "no"}', "not OSV's"),
        (200, b'["no"]', "not OSV's"),
    ],
)
def test_a_service_that_gives_no_sense_is_no_pass_and_no_finding(
    root: Path,
    osv: StubOsv,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    body: bytes,
    message: str,
) -> None:
    osv.broken = (status, body)
    assert run(root, osv.url, monkeypatch) == 5
    output = capsys.readouterr()
    assert "the audit could not run: " in output.err
    assert message in output.err
    assert "Nothing is known of the 4 packages" in output.err
    assert "open findings" not in output.err
    assert output.out == ""


def test_no_service_at_all_is_reported(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert run(root, f"http://127.0.0.1:{port}", monkeypatch) == 5
    assert "could not run: " in (output := capsys.readouterr().err)
    assert "Connection refused" in output


@pytest.mark.parametrize(
    ("expires", "status", "says"),
    [(TOMORROW, 0, f"accepted until {TOMORROW} by Ann: no file is read here"), (YESTERDAY, 4, "")],
    ids=["until tomorrow", "until yesterday"],
)
def test_what_is_accepted_passes_until_its_day(
    root: Path,
    osv: StubOsv,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    expires: dt.date,
    status: int,
    says: str,
) -> None:
    osv.know("GHSA-1", "numpy", "2.0", aliases=["CVE-1"])
    entry = (
        f"id: CVE-1, package: numpy, reason: no file is read here, owner: Ann, expires: {expires}"
    )
    accept(root, entry)
    assert run(root, osv.url, monkeypatch) == status
    output = capsys.readouterr().out
    assert "GHSA-1" in output
    assert says in output
    assert ("accepted" in output) == (status == 0)


def test_what_is_accepted_in_one_package_is_open_in_another_and_what_is_gone_is_reported(
    root: Path, osv: StubOsv, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    osv.know("GHSA-1", "torch", "2.9.0")
    owner = f"owner: Ann, expires: {TOMORROW}"
    accept(root, f"id: GHSA-1, package: numpy, reason: no file is read here, {owner}")
    assert run(root, osv.url, monkeypatch) == 4
    assert "numpy: GHSA-1 is accepted and not found any more: remove it" in capsys.readouterr().out


def test_an_acceptance_without_a_reason_or_a_day_is_refused(root: Path, osv: StubOsv) -> None:
    accept(root, "id: GHSA-1, package: numpy, reason: meh, owner: Ann")
    with pytest.raises(InputError, match=r"(?s)accepted\.yaml.*reason.*expires"):
        audit.read_accepted(root / "requirements/accepted.yaml")


@pytest.mark.parametrize("line", ["numpy>=2", "-e .", "numpy @ https://example.org/numpy.whl"])
def test_a_lock_that_pins_nothing_is_refused(root: Path, line: str) -> None:
    (root / "requirements/run.txt").write_text(f"{line}\n")
    with pytest.raises(InputError, match=r"run\.txt: `.*` pins no package"):
        audit.read_locks(root)


def test_the_shipped_locks_and_acceptances_can_be_read() -> None:
    root = Path(audit.__file__).parents[2]
    names = {package.name for package in audit.read_locks(root)}
    assert {"torch", "numpy", "uv", "aws-cdk", "onnxruntime"} <= names
    audit.read_accepted(root / "requirements/accepted.yaml")
