"""How files of graphics are compared, where curves end in a lossless file."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

GRAPHICS = runpy.run_path(str(Path(__file__).parents[2] / "kodak_eval" / "graphics.py"))
ratio, between, EXACT = GRAPHICS["ratio"], GRAPHICS["between"], GRAPHICS["EXACT"]
ANCHOR = [(1000, 30.0), (2000, 35.0), (4000, 40.0), (9000, EXACT)]


def test_a_codec_is_level_with_itself() -> None:
    assert ratio(ANCHOR, ANCHOR) == pytest.approx(0)
    assert between(ANCHOR, ANCHOR) == pytest.approx(0)


def test_gaps_between_qualities_count_only_against_files_that_reach() -> None:
    same_curve = [(1000, 30.0), (4000, 40.0), (9000, EXACT)]
    assert ratio(same_curve, ANCHOR) == pytest.approx(np.log(2) / 3)
    assert between(same_curve, ANCHOR) == pytest.approx(0)


def test_nothing_lies_between_the_last_lossy_file_and_the_lossless_one() -> None:
    test = [(1000, 30.0), (2000, 35.0), (9000, EXACT)]
    wanted = pytest.approx(np.log(9000 / 4000) / 3)
    assert ratio(test, ANCHOR) == wanted
    assert between(test, ANCHOR) == wanted


def test_a_larger_file_of_lower_psnr_does_not_count() -> None:
    test = [(1000, 30.0), (5000, 34.0), (2000, 35.0), (4000, 40.0), (9000, EXACT)]
    assert between(test, ANCHOR) == pytest.approx(0)
