"""How much an error shows."""

from __future__ import annotations

import numpy as np
import pytest

from finola_codec.masking import visibility


def test_a_flat_picture_shows_errors_alike_everywhere() -> None:
    assert visibility(np.full((40, 50, 3), 90, np.uint8), 16) == pytest.approx(np.ones((3, 4)))


def test_busy_blocks_hide_errors_as_ssim_has_it() -> None:
    pixels = np.full((32, 16, 3), 100, np.uint8)
    pixels[16:, ::2] += 20  # a variance of 100 in luma
    (flat,), (busy,) = visibility(pixels, 16)
    assert flat / busy == pytest.approx((200 + 58.5225) / 58.5225)
    assert flat * busy == pytest.approx(1)
