from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from sashiko.clarify.bias.uris import files_at
from sashiko.errors import InputError


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A bucket `people`, and an empty folder to download to; no input of this job is staged."""
    monkeypatch.setenv("OPT_ML", str(tmp_path / "ml"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="people")
        for key in (
            "data/a.csv",
            "data/deep/b.csv",
            "data/",
            "data.csv",
            "data.csv.old",
            "x/c.csv",
        ):
            client.put_object(Bucket="people", Key=key, Body=key.encode())
        yield tmp_path / "scratch"


@pytest.mark.parametrize(
    ("uri", "contents"),
    [
        ("s3://people/data.csv", ["data.csv"]),
        ("s3://people/data", ["data/a.csv", "data/deep/b.csv"]),
        ("s3://people/data/", ["data/a.csv", "data/deep/b.csv"]),
        ("s3://people/x", ["x/c.csv"]),
    ],
)
def test_an_object_or_all_objects_below_a_prefix_are_downloaded(s3, uri, contents) -> None:
    files = files_at(uri, key="dataset_uri", scratch=s3)
    assert [file.read_text() for file in files] == contents
    assert {file.parent for file in files} == {s3}


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://people/nothing", "`facet_dataset_uri`: there is no file at s3://people/nothing"),
        (
            "s3://others/data.csv",
            "`facet_dataset_uri`: cannot read s3://others/data.csv: .*NoSuchBucket",
        ),
    ],
)
def test_what_cannot_be_downloaded_is_named_with_its_key(s3, uri: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        files_at(uri, key="facet_dataset_uri", scratch=s3)
