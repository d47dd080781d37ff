"""How pictures are divided into windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finola_codec.runtime.windows import Window, windows


def blocks(window: Window) -> int:
    return (window[0].stop - window[0].start) * (window[1].stop - window[1].start)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 400), st.integers(0, 9))
def test_windows_give_every_block_once_and_read_no_more_than_they_may(
    height: int, width: int, most: int, margin: int
) -> None:
    times, first = np.zeros((height, width), int), 0
    for outer, inner, crop in windows(height, width, 1, most, margin):
        times[inner] += 1
        assert blocks(outer) <= most or blocks(inner) == 1
        place = np.arange(height * width).reshape(height, width)
        assert (place[outer][crop] == place[inner]).all()
        for read, inside, side in zip(outer, inner, (height, width), strict=True):
            assert read.start == max(0, inside.start - margin)
            needed = min(side, inside.stop + margin)
            assert read.stop == needed or (read.start == 0 and needed < read.stop <= side)
        first = first or blocks(outer)
        assert blocks(outer) <= first
    assert (times == 1).all()


@pytest.mark.parametrize(("size", "share"), [((32, 48), 1.0), ((40, 64), 1.0), ((65, 97), 1.2), ((177, 265), 1.3)])
def test_margins_are_a_small_part_of_the_work(size: tuple[int, int], share: float) -> None:
    read = sum(blocks(outer) for outer, _, _ in windows(*size, block=16, size=5 * 2**17, margin=48))
    assert read <= share * size[0] * size[1]
