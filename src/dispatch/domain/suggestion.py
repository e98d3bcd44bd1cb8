"""From what people write to the items they may mean, and to the number they should call first.

Rules, not statistics: words with weights, shipped as data (``catalog/default/keywords.json``) and read in the
open. The libraries research, §10, puts keyword rules first; the red lines answer complaint 21 of the domain
research, §6.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dispatch.domain.grams import normal

MOST = 5
"""Items that a client is told at most."""

LEAST = 2
"""Weight that an item must reach to be suggested."""

HALF = 4
"""Weight at which the score is one half; it nears 1 with more."""

NEAR = 6
"""Signs after an emergency word in which a doubt about it counts."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An item that the words speak for. ``score``: 0 to 1. ``words``: those found, the weightiest first."""

    code: str
    score: float
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Emergency:
    """Something that no form may hold up. ``unless``: longer words in which one of its words means no emergency."""

    kind: str
    name: str
    phones: tuple[str, ...]
    message: str
    words: tuple[str, ...]
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Doubt:
    """Words beside an emergency word that take the emergency away.

    Attributes:
        before: directly before it, or with one of ``links`` between: 不是(火灾), 担心(会)(触电).
        causes, causes_before: these words together, before it: 可能引起火灾 is a fear, 可能着火了 is a fire.
        after: soon after it, within the clause: (消防)演习, (火灾)隐患.
        past, still: it is over if the clause says 上周, unless it says 现在还 as well.
    """

    before: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    causes_before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    still: tuple[str, ...] = ()


_CLAUSE = re.compile(r"[,，。；;!！?？\n]")


def suggest(text: str, keywords: Mapping[str, Mapping[str, int]]) -> list[Suggestion]:
    """The items whose words occur in a text, the likeliest first; equal ones by code.

    Args:
        keywords: for each item its words and their weights.
    """
    said = normal(text)
    found = []
    for code, words in keywords.items():
        there = [word for word in words if word in said]
        # Of 缴费 and 医保缴费 the longer one counts: it says what the shorter says and more.
        whole = [word for word in there if not any(word != other and word in other for other in there)]
        weight = sum(words[word] for word in whole)
        if weight >= LEAST:
            heaviest_first = sorted(whole, key=lambda word: (-words[word], said.index(word)))
            found.append(Suggestion(code, round(weight / (weight + HALF), 2), tuple(heaviest_first)))
    return sorted(found, key=lambda suggestion: (-suggestion.score, suggestion.code))


def emergency(text: str, kinds: Sequence[Emergency], doubt: Doubt) -> Emergency | None:
    """The first kind of emergency that a text tells of, in their order; None if it tells of none.

    Doubts are few and stand close by: an alarm too many costs a look, one too few a life.
    """
    clauses = [clause for clause in _CLAUSE.split(normal(text)) if clause]
    return next((kind for kind in kinds if any(_tells(clause, kind, doubt) for clause in clauses)), None)


def _tells(clause: str, kind: Emergency, doubt: Doubt) -> bool:
    over = any(word in clause for word in doubt.past) and not any(word in clause for word in doubt.still)
    if over:
        return False
    harmless = [span for word in kind.unless for span in _spans(clause, word)]
    return any(
        not any(start >= first and end <= last for first, last in harmless)
        and not _doubted(clause[:start], clause[end : end + NEAR], doubt)
        for word in kind.words
        for start, end in _spans(clause, word)
    )


def _spans(clause: str, word: str) -> list[tuple[int, int]]:
    return [(match.start(), match.end()) for match in re.finditer(re.escape(word), clause)]


def _doubted(before: str, after: str, doubt: Doubt) -> bool:
    if before.endswith(doubt.before) or any(word in after for word in doubt.after):
        return True
    return any(
        before.endswith(link)
        and before.removesuffix(link).endswith(
            doubt.before + (doubt.causes_before if link in doubt.causes else ())
        )
        for link in doubt.links
    )
