import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sashiko.errors import InputError
from sashiko_packs.monitoring.account import Copy, MonitorFiles
from sashiko_packs.monitoring.deletion import DELETED_BY, DeletedRows, delete_account_rows
from sashiko_packs.monitoring.labels import add_labels
from tests.packs.monitoring.account.monitor_bench import NOW, Bench, open_bench
from tests.packs.monitoring.label_stores import week
from tests.unit.contract.documents import ROWS

KEYS = ("secret-a", "secret-b", "secret-c")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Three answers, all of them drawn, labelled and with facets."""
    with open_bench(tmp_path, monkeypatch) as bench:
        bench.stage()
        bench.create_pipeline()
        bench.judge("Succeeded")
        bench.answer(*KEYS)
        with bench.model.draw(7, window=week(0), rows=3):
            pass
        _label(bench, tmp_path, *KEYS)
        _put_facets(bench, tmp_path)
        yield bench


def _label(bench: Bench, folder: Path, *keys: str) -> None:
    file = folder / "labels.csv"
    file.write_text("\n".join(["loan_id,late", *(f"{key},yes" for key in keys), ""]))
    bench.model.add_labels(file, bench.contract, now=NOW)


def _put_facets(bench: Bench, folder: Path) -> None:
    """As a job of the bias evaluator."""
    names = [facet.column for facet in bench.contract.facets]
    row = ",".join(str(ROWS[name][0]) for name in names)
    lines = [",".join(["loan_id", "late", *names]), *(f"{key},yes,{row}" for key in KEYS), ""]
    file = folder / "facets.csv"
    file.write_text("\n".join(lines))
    stores = {name: bench.local.folder(name) for name in ("labels", "facets")}
    add_labels(file, bench.contract, **stores, now=NOW)
    content = (stores["facets"] / "facets.parquet").read_bytes()
    bench.put(f"{bench.places.facets}/facets.parquet", content)


def _delete(bench: Bench, *keys: str, now: dt.datetime = NOW) -> DeletedRows:
    model = bench.model
    files = MonitorFiles(model.account, model.settings, model.recipe, DELETED_BY)
    return delete_account_rows(files, keys, now=now)


def _kept_out(bench: Bench, folder: Path) -> int:
    """Returns how many keys the account's ledger keeps out."""
    return len(bench.table(f"{bench.places.ledger}/deletions.parquet", folder))


def _stores(bench: Bench) -> tuple[str, ...]:
    places = bench.places
    return (places.ledger, places.labels, places.draws, places.facets)


def _during_a_write(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Does something before the first file is written back."""
    put = MonitorFiles.put

    def once(files: MonitorFiles, path: Path, copy: Copy) -> str:
        monkeypatch.setattr(MonitorFiles, "put", put)
        action()
        return put(files, path, copy)

    monkeypatch.setattr(MonitorFiles, "put", once)


def test_no_store_of_the_account_has_the_key_afterwards(bench: Bench) -> None:
    assert [bench.keys(store) for store in _stores(bench)] == [{*KEYS}] * 4
    deleted = _delete(bench, KEYS[0], "nobody")
    assert deleted == DeletedRows(answers=1, labels=1, facets=1, draws=1)
    assert [bench.keys(store) for store in _stores(bench)] == [{*KEYS[1:]}] * 4
    assert not any(_delete(bench, KEYS[0]).model_dump().values())


def test_a_key_stays_out_while_a_capture_may_hold_it(bench: Bench, tmp_path: Path) -> None:
    _delete(bench, KEYS[0])
    for name in bench.model.etags(bench.places.ledger):
        content = bench.model.read(f"{bench.places.ledger}/{name}")[0]
        (bench.local.folder("ledger") / name).write_bytes(content)
    bench.answer(*KEYS)  # the window is read again
    assert bench.keys(bench.places.ledger) == {*KEYS[1:]}


def test_whoever_is_killed_has_named_the_keys_before_an_answer_is_gone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else a window that is read again would bring back what nobody knows to be deleted."""
    put = MonitorFiles.put

    def killed_after_one(files: MonitorFiles, path: Path, copy: Copy) -> str:
        etag = put(files, path, copy)
        if copy.uri == bench.places.ledger:
            raise KeyboardInterrupt
        return etag

    with monkeypatch.context() as patched:
        patched.setattr(MonitorFiles, "put", killed_after_one)
        with pytest.raises(KeyboardInterrupt):
            _delete(bench, KEYS[0])
    assert _kept_out(bench, tmp_path) == 1
    assert _delete(bench, KEYS[0]).answers == 1


def test_a_key_stays_out_until_s3_has_deleted_the_last_capture(bench, tmp_path) -> None:
    """S3 deletes expired objects up to two days after their time."""
    retention = dt.timedelta(seconds=bench.model.settings.serving.capture.retention)
    _delete(bench, KEYS[0])
    _delete(bench, KEYS[1], now=NOW + retention + dt.timedelta(days=1))
    assert _kept_out(bench, tmp_path) == 2
    _delete(bench, KEYS[2], now=NOW + retention + dt.timedelta(days=3))
    assert _kept_out(bench, tmp_path) == 2  # the first is forgotten


def test_while_a_window_is_judged_nothing_is_deleted(bench: Bench) -> None:
    """Its job would write the ledger back as it has read it."""
    running = bench.judge("Executing")
    with pytest.raises(InputError, match=f"{running}.* run the command again when it has ended"):
        _delete(bench, KEYS[0])
    assert [bench.keys(store) for store in _stores(bench)] == [{*KEYS}] * 4


@pytest.mark.parametrize("status", ["Executing", "Succeeded"])
def test_a_window_that_starts_meanwhile_is_named(bench, monkeypatch, status) -> None:
    _during_a_write(monkeypatch, lambda: bench.judge(status))
    with pytest.raises(InputError, match="may have written deleted rows back: run the command"):
        _delete(bench, KEYS[0])


def test_labels_that_somebody_adds_meanwhile_are_not_lost(bench, monkeypatch, tmp_path) -> None:
    _during_a_write(monkeypatch, lambda: _label(bench, tmp_path, "another"))
    with pytest.raises(InputError, match="somebody else has just changed it; run the command"):
        _delete(bench, KEYS[0])
    assert _delete(bench, KEYS[0]).answers == 1
    labels = bench.table(f"{bench.places.labels}/labels.parquet", tmp_path)
    assert [row["key"] for row in labels] == ["another", *KEYS[1:]]


def test_a_draw_that_is_made_meanwhile_is_named_and_the_next_command_deletes_from_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw() -> None:
        with bench.model.draw(8, window=week(0), rows=3):
            pass

    bench.local.answer(KEYS, version=8)
    bench.answer()
    _during_a_write(monkeypatch, draw)
    with pytest.raises(InputError, match="may have added a deleted key; run the command again"):
        _delete(bench, KEYS[0])
    assert _delete(bench, KEYS[0]).draws == 1
    assert [bench.keys(store) for store in _stores(bench)] == [{*KEYS[1:]}] * 4


def test_a_denied_deletion_names_the_role_that_may(bench, monkeypatch) -> None:
    from botocore.exceptions import ClientError

    def denied(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    monkeypatch.setattr(bench.s3, "get_object", denied)
    with pytest.raises(
        InputError, match=r"denied in dev .*use the role sashiko-dev-privacy-officer"
    ):
        _delete(bench, KEYS[0])
