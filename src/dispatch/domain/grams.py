"""Text as grams: what is indexed of an order's words, what is sought, how alike two texts are.

Chinese writes no blanks between words and most of its words have two signs, so a text is cut into pairs of
neighbouring signs ("路灯不亮": 路灯, 灯不, 不亮). Measured in the libraries research, §10: SQLite's trigrams
find no word of two signs, PostgreSQL's none at all under the C locale, pairs find every one on both.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from dispatch.domain.screening import screened

LONGEST = 24
"""Code points of a gram; a longer Latin word is cut."""

MOST_SOUGHT, MOST_OF_A_WORD = 8, 3
"""Grams that one search asks for, in all and of one word; of what is longer these many, evenly spread."""

_COMMON = (
    "您好你好谢谢感谢请问请帮帮忙帮我我们你们他们咱们希望麻烦一下一个这个那个现在可以能不不能能否是否没有有没"
    "什么怎么需要想要请求尽快处理解决社区居民就是因为所以还是已经非常比较时候今天昨天最近一直进行"
)
STOP = frozenset(_COMMON[at : at + 2] for at in range(0, len(_COMMON), 2))
"""Pairs of courtesy and grammar that most orders have: neither indexed nor sought nor compared."""

_DIGITS = re.compile(r"[0-9]+(?:[ -][0-9]+)*x?")
_PAIRED = frozenset("〇々")

FEWEST_PRIVATE = 7
"""Digits from which on a number is taken for somebody's phone, identity or bank card and is not indexed."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What a search asks for: every gram, and for every single sign a gram that begins with it."""

    grams: tuple[str, ...] = ()
    begins: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.grams or self.begins)


NOTHING = Sought()
"""A question that finds nothing: stop grams and signs only, or a private number."""


def normal(text: str) -> str:
    """Full width as half width, no case, nothing invisible: the form in which texts are compared."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(sign for sign in folded if not _invisible(sign))


def grams(text: str) -> frozenset[str]:
    """What is indexed of a text: pairs, words and numbers, and the last sign of every run.

    Every sign of the text begins some gram, so that a single one can be sought too: the last of a run and the first of
    a pair of courtesy stand alone.
    """
    found: set[str] = set()
    for paired, run in _runs(_public(normal(text))):
        if paired:
            found.update(pair[0] if pair in STOP else pair for pair in _pairs(run))
            found.add(run[-1])
        else:
            found.add(run[:LONGEST])
    return frozenset(found - STOP)


def sought(text: str) -> Sought:
    """What a question asks for; ``NOTHING`` if it asks for something that is never indexed."""
    said = normal(text)
    if _public(said) != said:
        return NOTHING
    found: dict[str, None] = {}
    begins: dict[str, None] = {}
    for paired, run in _runs(said):
        if not paired:
            found[run[:LONGEST]] = None
        elif len(run) == 1:
            begins[run] = None
        else:
            pairs = [gram for gram in _pairs(run) if gram not in STOP]
            found.update(dict.fromkeys(_spread(pairs, MOST_OF_A_WORD)))
    asked = _spread([gram for gram in found if gram not in STOP], MOST_SOUGHT)
    return Sought(asked, _spread(list(begins), MOST_SOUGHT - len(asked)))


@lru_cache(maxsize=4096)
def compared(text: str) -> frozenset[str]:
    """The grams by which texts are compared: those indexed, without single signs."""
    return frozenset(gram for gram in grams(text) if len(gram) > 1 or gram.isdecimal())


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared grams in all grams of both, 0 to 1; 0 if there are none."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def _invisible(sign: str) -> bool:
    return (
        unicodedata.category(sign) == "Cf" or 0xFE00 <= ord(sign) <= 0xFE0F or 0xE0100 <= ord(sign) <= 0xE01EF
    )


def _public(text: str) -> str:
    """The text with a full stop for every number that may be somebody's; those in Han digits are masked."""
    return screened(_DIGITS.sub(lambda number: "." if _private(number[0]) else number[0], text))


def _private(number: str) -> bool:
    """138 0000 1111 is a phone; 501 502 503 are doors: no group of four."""
    groups = re.findall("[0-9]+", number)
    return sum(map(len, groups)) >= FEWEST_PRIVATE and max(map(len, groups)) >= 4


def _runs(text: str) -> Iterable[tuple[bool, str]]:
    """Runs of signs without blanks between words (to be paired), and words and numbers (kept whole)."""
    for kind, signs in groupby(text, _kind):
        if kind is not None:
            yield kind, "".join(signs)


@lru_cache(maxsize=8192)
def _kind(sign: str) -> bool | None:
    category = unicodedata.category(sign)
    if category == "Lo" or sign in _PAIRED:
        return True
    return False if category[0] in "LM" or category == "Nd" else None


def _pairs(run: str) -> Iterable[str]:
    return (run[at : at + 2] for at in range(len(run) - 1))


def _spread(found: list[str], most: int) -> tuple[str, ...]:
    if len(found) <= most:
        return tuple(found)
    return tuple(found[nth * (len(found) - 1) // max(most - 1, 1)] for nth in range(most))
