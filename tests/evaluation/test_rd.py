"""Curves and Bjontegaard deltas against values that are known."""

from __future__ import annotations

import numpy as np
import pytest

from finola_codec.evaluation import rd

CURVE = [(0.1, 28.0), (0.2, 30.5), (0.4, 33.0), (0.8, 36.0), (1.2, 38.0)]


def test_half_the_bits_are_minus_fifty_percent() -> None:
    found = rd.delta(CURVE, [(rate / 2, quality) for rate, quality in CURVE])
    assert found is not None
    assert found.rate == pytest.approx(-50)
    assert (found.low, found.high) == (28.0, 38.0)


def test_a_decibel_more_is_a_gain_of_one() -> None:
    found = rd.delta(CURVE, [(rate, quality + 1) for rate, quality in CURVE])
    assert found is not None
    assert found.gain == pytest.approx(1)


def test_the_interval_is_the_overlap() -> None:
    found = rd.delta(CURVE, [(r, q) for r, q in CURVE if 30 < q < 37])
    assert found is not None
    assert (found.low, found.high) == (30.5, 36.0)
    assert found.rate == pytest.approx(0, abs=0.5)  # the interpolation of fewer points differs a little


def test_only_the_anchors_points_in_range_count() -> None:
    found = rd.delta(CURVE, CURVE, (0.15, 0.9))
    assert found is not None
    assert (found.low, found.high) == (30.5, 36.0)


def test_no_overlap_is_refused() -> None:
    assert rd.delta(CURVE, [(1.0, 50.0), (2.0, 55.0)]) is None
    assert rd.delta(CURVE, [(1.0, 30.0)]) is None
    records = [{"codec": c, "image": i, "setting": s, "bpp": r, "psnr": q + 40 * (c == "b" and i == "y")}
               for c in "ab" for i in "xy" for s, (r, q) in enumerate(CURVE)]  # fmt: skip
    assert rd.mean_delta([r for r in records if r["image"] == "x"], "a", "b") is not None
    assert rd.mean_delta(records, "a", "b") is None


def test_points_at_which_quality_falls_are_left_out() -> None:
    found = rd.delta([*CURVE, (0.5, 32.0)], CURVE)
    assert found is not None
    assert found.rate == pytest.approx(0, abs=1e-6)


def test_mean_curve_needs_every_image() -> None:
    records = [{"codec": "a", "image": i, "setting": s, "bpp": s * k, "psnr": 30.0 + s} for i, k in (("x", 1), ("y", 3))
               for s in (1, 2)]  # fmt: skip
    records.append({"codec": "a", "image": "x", "setting": 3, "bpp": 9, "psnr": 40.0})
    assert rd.mean_curve(records, "a") == [(2.0, 31.0), (4.0, 32.0)]


def test_quality_at_a_rate() -> None:
    assert rd.quality_at(CURVE, np.sqrt(0.1 * 0.2)) == pytest.approx(29.25)
    assert rd.quality_at(CURVE, 0.05) is None
