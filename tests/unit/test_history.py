"""The checker of histories says no to what cannot have happened, and yes to what can."""

from itertools import permutations
from math import inf
from random import Random

from tests.e2e.faults.history import Act, linearizable


def take(who: str, called: float, answered: float = inf, told: str | None = None) -> Act:
    return Act(who, "take", called, answered, told)


def test_a_slot_that_was_given_away_twice_is_found():
    acts = [take("ann", 0, 3, "taken"), take("ben", 1, 2, "taken")]
    assert linearizable(acts, slots=1) is None
    assert linearizable(acts, slots=2) is not None


def test_a_refusal_while_a_slot_is_free_is_found():
    late = [
        take("ann", 0, 1, "taken"),
        Act("ann", "release", 2, 3, "released"),
        take("ben", 4, 5, "SLOT_TAKEN"),
    ]
    assert linearizable(late, slots=1) is None
    meanwhile = [*late[:2], take("ben", 2.5, 5, "SLOT_TAKEN")]
    assert linearizable(meanwhile, slots=1) is not None


def test_a_take_before_anybody_had_given_back_is_found():
    acts = [take("ann", 0, 1, "taken"), take("ben", 2, 3, "taken"), Act("ann", "release", 4, 5, "released")]
    assert linearizable(acts, slots=1) is None


def test_a_winner_who_is_told_that_he_took_again_is_found():
    assert linearizable([take("ann", 0, 1, "taken"), take("ann", 2, 3, "taken")], slots=2) is None
    assert linearizable([take("ann", 0, 1, "taken"), take("ann", 2, 3, "already_yours")], slots=2)


def test_an_act_without_an_answer_may_have_happened_or_not():
    lost = take("ann", 0)
    assert linearizable([lost, take("ben", 1, 2, "SLOT_TAKEN")], slots=1) is not None
    assert linearizable([lost, take("ben", 1, 2, "taken")], slots=1) is not None
    assert linearizable([lost, take("ben", 1, 2, "SLOT_TAKEN"), take("cid", 3, 4, "taken")], slots=1) is None


def test_whatever_happens_one_after_the_other_is_believed_however_the_calls_overlap():
    dice = Random(7)
    for _ in range(200):
        held: set[str] = set()
        acts, at = [], 0.0
        for _ in range(12):
            who = dice.choice("abcde")
            if who in held and dice.random() < 0.5:
                held.discard(who)
                what, told = "release", "released"
            else:
                what = "take"
                told = "already_yours" if who in held else "taken" if len(held) < 2 else "SLOT_TAKEN"
                held |= {who} if told == "taken" else set()
            at += 1
            acts.append(Act(who, what, at - dice.uniform(0, 2), at + dice.uniform(0, 2), told))
        assert linearizable(acts, slots=2) is not None


def test_it_agrees_with_trying_every_order():
    dice = Random(11)
    for _ in range(150):
        acts = [
            take(dice.choice("ab"), (t := dice.uniform(0, 3)), t + dice.uniform(0, 2), dice.choice(WORDS))
            for _ in range(4)
        ]
        assert (linearizable(acts, slots=1) is not None) == any(map(_possible, permutations(acts)))


WORDS = ("taken", "SLOT_TAKEN", "already_yours")


def _possible(acts: tuple[Act, ...]) -> bool:
    held: set[str] = set()
    for nth, act in enumerate(acts):
        if any(later.answered < act.called for later in acts[nth + 1 :]):
            return False
        told = "already_yours" if act.who in held else "SLOT_TAKEN" if held else "taken"
        if told != act.told:
            return False
        held.add(act.who) if told == "taken" else None
    return True
