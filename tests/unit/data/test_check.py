import csv
from pathlib import Path

from sashiko.base.parquet import write_table
from sashiko.data.ingest import check_file
from tests.unit.contract.documents import ROWS, contract_of, custom, document, rows, table_of


def _csv(path: Path, *, encoding: str = "utf-8", **changes: list[object]) -> Path:
    known = [column["name"] for column in table_of(document())["properties"]]
    columns = {**{name: ROWS[name] for name in known}, **changes}
    with path.open("w", encoding=encoding, newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def test_a_good_csv_passes_every_rule_of_every_column(tmp_path, contract):
    verdict = check_file(_csv(tmp_path / "loans.csv"), contract)
    assert (verdict.gate, verdict.passed) == ("data-quality", True), verdict.summary
    assert "reader: matches @" in [check.name for check in verdict.checks]


def test_parquet_is_judged_as_csv_is(tmp_path, contract):
    write_table(tmp_path / "loans.parquet", rows(contract, loan_id=["a", "a", "b", "c"]))
    verdict = check_file(tmp_path / "loans.parquet", contract)
    assert [check.name for check in verdict.checks if not check.passed] == ["loan_id: unique"]


def test_what_ingest_would_clean_is_not_held_against_the_file(tmp_path):
    bent = document()
    cleaning = {"property": "ingest", "value": {"trim": True, "null_values": ["", "?"]}}
    table_of(bent)["customProperties"].append(cleaning)
    file = _csv(tmp_path / "loans.csv", late=[" yes", "no ", " no", "yes"], pages=[1, "?", " 3", 4])
    assert check_file(file, contract_of(bent, tmp_path)).passed
    custom(bent, "ingest")["value"]["trim"] = False
    verdict = check_file(file, contract_of(bent, tmp_path))
    assert [check.name for check in verdict.checks if not check.passed] == ["late: allowed values"]


def test_a_verdict_repeats_no_personal_value(tmp_path, contract):
    file = _csv(tmp_path / "loans.csv", reader=["Ann Lee", "a@x.org", "b@x.org", "c@x.org"])
    verdict = check_file(file, contract)
    assert not verdict.passed
    assert "Ann Lee" not in verdict.model_dump_json()
