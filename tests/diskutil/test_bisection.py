"""The search itself: it finds the place, asks few questions, and says what it could not judge."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from khoros.diskutil.bisection import Verdict, search


@given(st.data())
def test_the_first_bad_one_is_found(data):
    good = data.draw(st.integers(0, 20))
    bad = good + data.draw(st.integers(1, 500))
    first = data.draw(st.integers(good + 1, bad))
    asked = []

    def ask(number):
        assert good < number < bad
        assert number not in asked
        asked.append(number)
        return Verdict.BAD if number >= first else Verdict.GOOD

    assert search(good, bad, ask) == (first - 1, first, [])
    assert len(asked) <= (bad - good).bit_length()


@given(st.data())
def test_what_is_passed_over_is_between_the_ends(data):
    bad = data.draw(st.integers(1, 60))
    first = data.draw(st.integers(1, bad))
    silent = data.draw(st.sets(st.integers(1, bad - 1))) if bad > 1 else set()

    def ask(number):
        if number in silent:
            return Verdict.SKIP
        return Verdict.BAD if number >= first else Verdict.GOOD

    found = search(0, bad, ask)
    assert found.last_good < first <= found.first_bad
    assert found.between == list(range(found.last_good + 1, found.first_bad))
    assert set(found.between) <= silent
