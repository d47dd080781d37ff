"""How files of graphics are compared, where curves end in a lossless file."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finola_codec.evaluation.metrics import EXACT

GRAPHICS = runpy.run_path(str(Path(__file__).parents[2] / "kodak_eval" / "graphics.py"))
ratio, reaching, between = (GRAPHICS[name] for name in ("ratio", "reaching", "between"))
ANCHOR = [(1000, 30.0), (2000, 35.0), (4000, 40.0), (9000, EXACT)]


@pytest.mark.parametrize("taken", [reaching, between])
def test_a_codec_is_level_with_itself(taken: Callable[..., float]) -> None:
    assert ratio(ANCHOR, ANCHOR, taken) == pytest.approx(0)


def test_gaps_between_qualities_count_only_against_files_that_reach() -> None:
    same_curve = [(1000, 30.0), (4000, 40.0), (9000, EXACT)]
    assert ratio(same_curve, ANCHOR, reaching) == pytest.approx(np.log(2) / 3)
    assert ratio(same_curve, ANCHOR, between) == pytest.approx(0)


@pytest.mark.parametrize("taken", [reaching, between])
def test_nothing_lies_between_the_last_lossy_file_and_the_lossless_one(taken: Callable[..., float]) -> None:
    assert taken([(1000, 30.0), (2000, 35.0), (9000, EXACT)], 40) == 9000


def test_a_larger_file_of_lower_psnr_does_not_count() -> None:
    assert between([(1000, 30.0), (5000, 34.0), (2000, 35.0), (9000, EXACT)], 34.5) == pytest.approx(2000)
