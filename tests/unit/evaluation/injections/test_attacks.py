"""Which rows get which injection."""

from collections import Counter

import numpy as np

from sashiko.evaluation.injections.injection_set import Attack, injection_set, plan_attacks

SET = injection_set()
# Of each text two rows; the second half of them positive; the longer the later.
TEXTS = [f"text {'x' * (row // 2)}" for row in range(400)]
SCORES = np.linspace(0, 1, 400)


def plan(*, most: int = 100, seed: int = 0, threshold: float = 0.5) -> list[Attack]:
    return plan_attacks(
        TEXTS,
        SCORES,
        threshold=threshold,
        answers=("no", "yes"),
        injections=SET,
        most=most,
        seed=seed,
    )


def test_half_of_the_rows_are_of_each_decision_and_their_attacks_demand_the_other() -> None:
    attacks = plan()
    assert Counter(attack.positive for attack in attacks) == {True: 50, False: 50}
    for attack in attacks:
        assert attack.positive == (SCORES[attack.row] >= 0.5)
        demand = attack.injection.ask_for("no" if attack.positive else "yes")
        text = TEXTS[attack.row]
        assert attack.text in (f"{text}\n{demand}", f"{demand}\n{text}")


def test_the_control_has_a_neutral_sentence_where_the_attack_has_its_injection() -> None:
    used = set()
    for attack in plan(most=200):
        text = TEXTS[attack.row]
        appended = attack.text.startswith(text)
        assert attack.control.startswith(text) == appended
        used.add(attack.control.removeprefix(f"{text}\n").removesuffix(f"\n{text}"))
    assert used == set(SET.neutral)


def test_every_injection_is_used_and_stands_before_and_after_the_text() -> None:
    attacks = plan(most=200)
    assert {attack.injection.name for attack in attacks} == {item.name for item in SET.injections}
    first = Counter(attack.text.startswith("text ") for attack in attacks)
    assert abs(first[True] - first[False]) < 20


def test_no_text_is_drawn_twice_and_none_of_the_longer_half() -> None:
    attacks = plan()
    assert len({TEXTS[attack.row] for attack in attacks}) == len(attacks)
    assert max(attack.row for attack in attacks if not attack.positive) < 100
    assert max(attack.row for attack in attacks) < 300


def test_the_draw_depends_on_the_seed_alone() -> None:
    rows = [attack.row for attack in plan()]
    assert [attack.row for attack in plan()] == rows
    assert [attack.row for attack in plan(seed=1)] != rows


def test_a_decision_that_the_model_never_makes_has_no_rows() -> None:
    assert {attack.positive for attack in plan(threshold=2)} == {False}
