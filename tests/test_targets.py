"""The search for the quality that meets a target."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finola_codec import TargetError
from finola_codec.targets import first_reaching, largest_within


@settings(deadline=None)
@given(
    steps=st.lists(st.integers(0, 3000), min_size=100, max_size=100),
    base=st.integers(1, 5000),
    limit=st.integers(1, 310_000),
)
def test_the_largest_file_within_is_found_whatever_the_curve(steps: list[int], base: int, limit: int) -> None:
    sizes = base + np.cumsum(steps)
    if sizes[0] > limit:
        with pytest.raises(TargetError, match="even at quality 1"):
            largest_within(lambda quality: bytes(sizes[quality - 1]), limit)
    else:
        assert len(largest_within(lambda quality: bytes(sizes[quality - 1]), limit)) == sizes[sizes <= limit].max()


@settings(deadline=None)
@given(steps=st.lists(st.floats(0, 1), min_size=100, max_size=100), wanted=st.floats(15, 80))
def test_the_first_that_reaches_is_found_whatever_the_curve(steps: list[float], wanted: float) -> None:
    reached = 20 + np.cumsum(steps)
    if reached[-1] < wanted:
        with pytest.raises(TargetError, match="even at quality 100"):
            first_reaching(lambda quality: (reached[quality - 1], bytes([quality])), wanted)
    else:
        data = first_reaching(lambda quality: (reached[quality - 1], bytes([quality])), wanted)
        assert data[0] == 1 + int(np.argmax(reached >= wanted))


@pytest.mark.parametrize("octaves", [0.04, 0.06, 0.09])
def test_few_attempts_are_needed_where_the_curve_is_like_that_of_a_photograph(octaves: float) -> None:
    tried: list[int] = []

    def encode(quality: int) -> bytes:
        tried.append(quality)
        return bytes(int(2000 * 2 ** (octaves * quality) * (1 + 0.0005 * (quality - 50) ** 2 / 50)))

    for limit in (3_000, 10_000, 60_000):
        tried.clear()
        largest_within(encode, limit)
        assert len(tried) <= 5
