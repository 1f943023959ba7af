"""`sashiko env stage`: what lands in the bucket, what a second time does, and what is refused."""

import base64
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.s3.responses import S3Response

from sashiko.account import content_store
from sashiko.account.account import Account
from sashiko.account.content_store import ContentStore
from sashiko.account.names import bucket_name
from sashiko.base.files import sha256_bytes
from sashiko.errors import InputError
from sashiko.pipeline.cloud.start import StagedPlace, stage_inputs, stage_seed
from sashiko.pipeline.staging import Staged, staged_inputs
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import Recipe, load_recipe
from sashiko.settings.recipe_data import FileSource
from sashiko.steps.sections import make_channel

SETTINGS = load_settings("dev")
BUCKET = bucket_name(SETTINGS, "artifacts")
RAW = bucket_name(SETTINGS, "raw")
AS_OF = "20261125T104500Z"
WEIGHTS = {"config.json": b"{}", "model.safetensors": b"weights"}


@dataclass(frozen=True)
class Bench:
    """A bucket, and a recipe whose weights are on this machine."""

    account: Account
    recipe: Recipe
    staged: Staged
    cache: Path

    @property
    def s3(self) -> Any:
        return self.account.client("s3")

    def stage(self) -> list[StagedPlace]:
        return list(stage_inputs(self.staged, self.recipe, account=self.account, cache=self.cache))

    def seed(self, as_of: str = AS_OF) -> StagedPlace:
        return stage_seed(
            SETTINGS, self.recipe, table="loans", as_of=as_of, account=self.account,
            cache=self.cache,
        )  # fmt: skip

    def keys(self, bucket: str = BUCKET) -> dict[str, str]:
        """Key -> the version that lies there."""
        pages = self.s3.list_object_versions(Bucket=bucket).get("Versions", [])
        return {item["Key"]: item["VersionId"] for item in pages}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    recipe = load_recipe(Path("recipes/complaints.yaml"))
    digests = {name: sha256_bytes(content) for name, content in WEIGHTS.items()}
    data = tmp_path / "loans.csv"
    data.write_text("id,text\n1,late\n")
    recipe = recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update={"files": digests}),
            "data": recipe.data.model_copy(
                update={"sources": (FileSource(kind="file", path=str(data)),), "sha256": None}
            ),
        }
    )
    channels = [
        make_channel(BUCKET, folder, files)
        for folder, files in {
            "config": {"text.json": b"{}", "data.json": b"{}"},
            "code": {"text.py": b"code"},
        }.items()
    ]
    staged = staged_inputs(SETTINGS, recipe, channels)
    folder = tmp_path / "cache/weights" / staged.weights_uri.rpartition("/")[2]
    folder.mkdir(parents=True)
    for name, content in WEIGHTS.items():
        (folder / name).write_bytes(content)
    with mock_aws():
        bench = Bench(Account(SETTINGS), recipe, staged, tmp_path / "cache")
        for bucket in (BUCKET, RAW):
            bench.s3.create_bucket(Bucket=bucket)
            bench.s3.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        yield bench


@pytest.fixture
def requests(bench: Bench) -> list[dict[str, Any]]:
    requests: list[dict[str, Any]] = []
    for operation in ("HeadObject", "ListObjectsV2", "PutObject"):
        bench.s3.meta.events.register(
            f"before-parameter-build.s3.{operation}",
            lambda params, **_: requests.append(dict(params)),
        )
    return requests


def _key(uri: str) -> str:
    return content_store.split_uri(uri)[1]


def test_every_input_of_the_pipeline_is_there_with_its_checksum(bench: Bench) -> None:
    places = bench.stage()
    expected = {
        f"{channel.uri}/{name}": content
        for channel in bench.staged.channels
        for name, content in channel.files.items()
    } | {f"{bench.staged.weights_uri}/{name}": content for name, content in WEIGHTS.items()}
    assert {_key(uri) for uri in expected} == set(bench.keys())
    for uri, content in expected.items():
        stored = bench.s3.get_object(Bucket=BUCKET, Key=_key(uri), ChecksumMode="ENABLED")
        assert stored["Body"].read() == content
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert stored["ChecksumSHA256"] == checksum
    assert {f"{place.uri}/{name}" for place in places for name in place.uploaded} == set(expected)


def test_a_second_time_writes_nothing_and_only_the_accounts_own_buckets_will_do(
    bench: Bench, requests: list[dict[str, Any]]
):
    bench.stage()
    bench.seed()
    assert {request.get("ExpectedBucketOwner") for request in requests} == {SETTINGS.account}
    assert {"Body", "ChecksumMode", "Prefix"} <= {name for request in requests for name in request}

    before = bench.keys()
    assert [place.uploaded for place in bench.stage() if place.uploaded] == []
    assert bench.keys() == before


def test_a_killed_command_takes_up_where_it_stopped(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    put, remaining = ContentStore.put, iter(range(3))

    def dies(self: ContentStore, *arguments: Any, **named: Any) -> bool:
        if next(remaining, None) is None:
            raise KeyboardInterrupt
        return put(self, *arguments, **named)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ContentStore, "put", dies)
        bench.stage()
    before = bench.keys()
    assert len(before) == 3
    bench.stage()
    after = bench.keys()
    assert before.items() < after.items()
    assert {_key(f"{bench.staged.weights_uri}/{name}") for name in WEIGHTS} <= set(after)


def test_two_at_once_end_with_one_version_of_each(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Both have listed the files before either writes, each time."""
    _write_as_s3_does(monkeypatch)
    put_new, both = ContentStore.put_new, threading.Barrier(2, timeout=300)

    def together(self: ContentStore, *arguments: Any, **named: Any) -> bool:
        both.wait()
        return put_new(self, *arguments, **named)

    monkeypatch.setattr(ContentStore, "put_new", together)
    bench.account.client("s3")
    faults: list[BaseException] = []

    def work() -> None:
        try:
            bench.stage()
        except BaseException as error:  # the assertion shows it
            faults.append(error)
            both.abort()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    versions = bench.s3.list_object_versions(Bucket=BUCKET)["Versions"]
    assert len(versions) == len({item["Key"] for item in versions})


def _write_as_s3_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A conditional write is one act in S3; moto looks for the key first, and writes after it.

    S3 User Guide, "How to prevent object overwrites with conditional writes": of several writes
    with `If-None-Match` at once the first to finish succeeds, and the others get 412.
    """
    respond, one = S3Response.put_object, threading.Lock()

    def put_object(self: S3Response, *arguments: Any, **named: Any) -> Any:
        with one:
            return respond(self, *arguments, **named)

    monkeypatch.setattr(S3Response, "put_object", put_object)


def test_another_content_under_a_content_name_is_an_error(bench: Bench) -> None:
    uri = f"{bench.staged.weights_uri}/model.safetensors"
    bench.s3.put_object(Bucket=BUCKET, Key=_key(uri), Body=b"evil", ChecksumAlgorithm="SHA256")
    with pytest.raises(InputError, match=r"model\.safetensors does not hold the content that its"):
        bench.stage()
    assert bench.s3.get_object(Bucket=BUCKET, Key=_key(uri))["Body"].read() == b"evil"


def test_an_object_without_a_checksum_is_not_taken_on_trust(bench: Bench) -> None:
    key = _key(f"{bench.staged.weights_uri}/model.safetensors")
    bench.s3.put_object(
        Bucket=BUCKET, Key=key, Body=WEIGHTS["model.safetensors"], ChecksumAlgorithm="CRC32"
    )
    with pytest.raises(InputError, match="none that S3 knows"):
        bench.stage()


def test_a_file_larger_than_one_put_is_refused_before_it_is_sent(bench: Bench, monkeypatch):
    monkeypatch.setattr(content_store, "LARGEST_FILE", 6)
    with pytest.raises(InputError, match="split the weights into shards"):
        ContentStore(bench.account).put(f"s3://{BUCKET}/a", b"weights", sha256="00" * 32)
    assert bench.keys() == {}


def test_a_denied_write_names_the_role_that_may(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    def denied(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")

    monkeypatch.setattr(bench.s3, "put_object", denied)
    with pytest.raises(InputError, match=r"denied in dev.*use the role sashiko-dev-deployer"):
        bench.stage()


def test_seed_data_are_an_extract_whose_marker_comes_last(bench: Bench, monkeypatch):
    put, order = bench.s3.put_object, []
    monkeypatch.setattr(
        bench.s3, "put_object", lambda **request: (order.append(request["Key"]), put(**request))
    )
    place = bench.seed()
    folder = f"loans/as_of={AS_OF}"
    assert place.uri == f"s3://{RAW}/{folder}"
    assert order[-1] == f"{folder}/_SUCCESS"
    (data,) = order[:-1]
    assert data.endswith(".csv")
    assert bench.s3.get_object(Bucket=RAW, Key=data)["Body"].read() == b"id,text\n1,late\n"
    assert bench.seed().uploaded == ()


def test_a_seed_that_was_killed_before_its_marker_is_finished(bench: Bench) -> None:
    place = bench.seed()
    bench.s3.delete_object(Bucket=RAW, Key=f"loans/as_of={AS_OF}/_SUCCESS")
    assert place.uploaded[-1] == "_SUCCESS"
    assert bench.seed().uploaded == ("_SUCCESS",)


def test_an_extract_of_somebody_else_is_left_alone(bench: Bench) -> None:
    bench.s3.put_object(Bucket=RAW, Key=f"loans/as_of={AS_OF}/theirs.csv", Body=b"")
    with pytest.raises(InputError, match=r"holds theirs\.csv already"):
        bench.seed()
    assert set(bench.keys(RAW)) == {f"loans/as_of={AS_OF}/theirs.csv"}
