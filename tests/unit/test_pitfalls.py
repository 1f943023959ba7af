"""Each pitfall has a proof that exists, or says that it is open."""

from sashiko_cdk.security_rules.rules import RETAIN, RULES
from verification.guards.table import ROOT, of_missing_pack, read_proofs, read_rows


def test_each_proof_exists() -> None:
    rules = {f"rule {rule.name}" for rule in (*RULES, RETAIN)}
    missing = []
    for row in read_rows().values():
        for proof in set(row.proofs) - rules:
            file, _, name = proof.partition("::")
            path = ROOT / file
            if not of_missing_pack(file) and not (
                path.is_file() and name and f"def {name}(" in path.read_text()
            ):
                missing.append(f"{row.number}: {proof}")
    assert missing == []


def test_each_pitfall_has_a_proof_or_is_open_and_each_proof_a_pitfall() -> None:
    rows = read_rows()
    assert len(rows) > 60
    assert [row.number for row in rows.values() if not (row.proofs or row.is_open)] == []
    assert read_proofs().keys() <= rows.keys()
