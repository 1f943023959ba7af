"""The page of the Machine Learning Lens answers each of its practices, and its proofs exist."""

import re
from collections import Counter

from verification.guards.table import ROOT, Row, of_missing_pack, rows

PAGE = ROOT / "docs/well-architected.md"
# Practices of each question, in the order of the questions: "Best practices by ML lifecycle" of the
# Machine Learning Lens, November 19, 2025.
LENS = {
    "MLOPS": (3, 6, 2, 2, 1, 2),
    "MLSEC": (1, 1, 5, 3, 1, 2),
    "MLREL": (2, 3, 4, 2, 2),
    "MLPERF": (1, 2, 1, 6, 2, 6),
    "MLCOST": (2, 2, 4, 14, 3, 4),
    "MLSUS": (1, 2, 3, 4, 4, 2),
}
ANSWERS = ("met", "in part", "the team's", "not met")
_LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
_FILE = re.compile(r"`([\w/]+\.py)(?:::\w+)?`")


def answer(row: Row) -> str:
    """The third cell of a row."""
    return row.text.split(" | ")[2]


def test_each_practice_of_the_lens_is_answered_once() -> None:
    practices = [
        f"{pillar}{question:02}-BP{practice:02}"
        for pillar, questions in LENS.items()
        for question, most in enumerate(questions, start=1)
        for practice in range(1, most + 1)
    ]
    assert [row.number for row in rows(PAGE)] == practices


def test_each_answer_is_one_of_four_and_what_is_met_has_a_proof() -> None:
    for row in rows(PAGE):
        assert answer(row) in ANSWERS, row.number
        proof = row.text.rstrip(" |").split(" | ")[-1]
        assert answer(row) not in ("met", "in part") or _LINK.search(proof) or row.tests, row.number


def test_the_head_counts_the_answers() -> None:
    counts = Counter(answer(row) for row in rows(PAGE))
    listing = ", ".join(f"{counts[name]} {name}" for name in ANSWERS[:-1])
    assert f"{listing}, and {counts['not met']} not met" in " ".join(PAGE.read_text().split())


def test_each_file_and_each_test_exists() -> None:
    for row in rows(PAGE):
        for link in _LINK.findall(row.text):
            assert (PAGE.parent / link).is_file(), f"{row.number}: {link}"
        for file in _FILE.findall(row.text):
            path = file if "/" in file else f"tests/infra/{file}"
            assert (ROOT / path).is_file() or of_missing_pack(path), f"{row.number}: {file}"
        for test in row.tests:
            file, _, name = test.partition("::")
            assert of_missing_pack(file) or f"def {name}(" in (ROOT / file).read_text(), (
                f"{row.number}: {test}"
            )
