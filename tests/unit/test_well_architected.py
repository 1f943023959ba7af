"""The table of the Machine Learning Lens answers each of its practices, and its proofs exist."""

import csv
from collections import Counter
from collections.abc import Mapping

from verification.guards.table import ROOT, of_missing_pack

PAGE = ROOT / "docs/well-architected.md"
# Pillar -> its row on the page, and the practices of each question in order: "Best practices by ML
# lifecycle" of the Machine Learning Lens, November 19, 2025.
LENS = {
    "MLOPS": ("operational excellence", (3, 6, 2, 2, 1, 2)),
    "MLSEC": ("security", (1, 1, 5, 3, 1, 2)),
    "MLREL": ("reliability", (2, 3, 4, 2, 2)),
    "MLPERF": ("performance efficiency", (1, 2, 1, 6, 2, 6)),
    "MLCOST": ("cost optimization", (2, 2, 4, 14, 3, 4)),
    "MLSUS": ("sustainability", (1, 2, 3, 4, 4, 2)),
}
ANSWERS = ("met", "in part", "the team's", "not met")


def read_rows() -> list[Mapping[str, str]]:
    with PAGE.with_suffix(".csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_each_practice_of_the_lens_is_answered_once_and_what_is_met_has_a_proof() -> None:
    practices = [
        f"{pillar}{question:02}-BP{practice:02}"
        for pillar, (_, questions) in LENS.items()
        for question, most in enumerate(questions, start=1)
        for practice in range(1, most + 1)
    ]
    assert [row["practice"] for row in read_rows()] == practices
    for row in read_rows():
        assert row["answer"] in ANSWERS, row
        assert row["answer"] not in ("met", "in part") or row["proofs"], row

    for row in read_rows():
        for proof in row["proofs"].split():
            file, _, name = proof.partition("::")
            if of_missing_pack(file):
                continue
            assert (ROOT / file).is_file(), f"{row['practice']}: {file}"
            assert f"def {name}(" in (ROOT / file).read_text() or not name, proof


def test_the_page_counts_the_answers_and_names_what_is_not_met() -> None:
    rows, page = read_rows(), " ".join(PAGE.read_text().split())
    counts = Counter(row["answer"] for row in rows)
    listing = ", ".join(f"{counts[name]} {name}" for name in ANSWERS[:-1])
    assert f"{listing}, and {counts['not met']} not met" in page
    for pillar, (name, _) in LENS.items():
        of_it = Counter(row["answer"] for row in rows if row["practice"].startswith(pillar))
        assert f"| {name} | {' | '.join(str(of_it[answer]) for answer in ANSWERS)} |" in page
    not_met = [row["practice"] for row in rows if row["answer"] == "not met"]
    assert [practice for practice in not_met if f"| {practice} |" not in page] == []
