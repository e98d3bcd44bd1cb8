"""docs/matching.md says what the code says."""

from pathlib import Path

import pytest

from dispatch.domain.matching import WEIGHTS, WHY_NOT

PAGE = Path(__file__).parents[2] / "docs/matching.md"


@pytest.mark.parametrize("code", WHY_NOT)
def test_every_reason_against_somebody_is_there_with_its_words(code: str):
    assert f"| `{code}` | {WHY_NOT[code]} |" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("part", WEIGHTS)
def test_every_part_is_there_with_its_weight(part: str):
    assert f"| `{part}` | {WEIGHTS[part]} |" in PAGE.read_text("utf-8")


def test_the_ten_explanations_are_what_the_code_says_of_the_generated_district():
    from benchmarks.simulation import examples

    told = examples()
    assert len(told) == 10
    page = PAGE.read_text("utf-8")
    for line in told:
        assert line in page
    assert any("有资质" in line for line in told)
    assert any("彼此熟悉" in line for line in told)


def test_the_plots_it_shows_are_there():
    for name in ("matched", "load", "figures"):
        assert f"matching/{name}.svg" in PAGE.read_text("utf-8")
        assert (PAGE.parent / f"matching/{name}.svg").read_text("utf-8").startswith("<svg ")
