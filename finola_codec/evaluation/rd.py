"""Rate-distortion curves and Bjontegaard deltas, as the field computes them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bjontegaard
import numpy as np

from finola_codec.errors import ConfigError

METHOD = "pchip"
BPP_RANGE = (0.08, 1.3)  # the anchor's points within this range count

Point = tuple[float, float]  # bpp, dB


@dataclass(frozen=True)
class Delta:
    """BD-rate (percent; negative: the test needs fewer bits) over an interval of quality that both curves cover.

    ``gain`` is the BD-PSNR (dB, or the unit of another metric; positive: the test is better) over the rates that both
    cover, None where they cover none.
    """

    rate: float
    low: float  # dB
    high: float
    gain: float | None


def by_image(records: Iterable[Mapping[str, Any]], metric: str = "psnr") -> dict[str, dict[str, list[Point]]]:
    """Codec -> image -> points, from low to high rate. Records of errors are left out."""
    found: dict[str, dict[str, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for r in records:
        if r.get(metric) is not None:
            found[r["codec"]][r["image"]].append((r["bpp"], r[metric]))
    return {c: {i: sorted(points) for i, points in images.items()} for c, images in found.items()}


def mean_curve(records: Iterable[Mapping[str, Any]], codec: str, metric: str = "psnr") -> list[Point]:
    """Mean over the images of rate and of quality, at each setting of a codec that all its images have."""
    settings: dict[float, list[Point]] = defaultdict(list)
    for r in records:
        if r.get("codec") == codec and r.get(metric) is not None:
            settings[r["setting"]].append((r["bpp"], r[metric]))
    count = max(map(len, settings.values()), default=0)
    means = [np.mean(points, axis=0) for points in settings.values() if len(points) == count]
    return sorted((float(rate), float(quality)) for rate, quality in means)


def delta(anchor: list[Point], test: list[Point], bpp_range: tuple[float, float] = BPP_RANGE) -> Delta | None:
    """BD-rate of ``test`` against the points of ``anchor`` within ``bpp_range``; None where they do not overlap."""
    anchor = _rising([p for p in anchor if bpp_range[0] <= p[0] <= bpp_range[1]])
    test = _rising(test)
    if len(anchor) < 2 or len(test) < 2:
        return None
    low, high = max(anchor[0][1], test[0][1]), min(anchor[-1][1], test[-1][1])
    if low >= high:
        return None
    (anchor_rate, anchor_quality), (test_rate, test_quality) = np.transpose(anchor), np.transpose(test)
    rate = bjontegaard.bd_rate(
        anchor_rate, anchor_quality, test_rate, test_quality, METHOD, require_matching_points=False, min_overlap=0
    )
    gain = None
    if max(anchor_rate[0], test_rate[0]) < min(anchor_rate[-1], test_rate[-1]):
        gain = bjontegaard.bd_psnr(
            anchor_rate, anchor_quality, test_rate, test_quality, METHOD, require_matching_points=False, min_overlap=0
        )
    return Delta(float(rate), low, high, None if gain is None else float(gain))


def mean_delta(records: Iterable[Mapping[str, Any]], anchor: str, test: str, metric: str = "psnr") -> Delta | None:
    """Return the mean over the images of the deltas of each, and the widest interval that one of them covers."""
    points = by_image(records, metric)
    images = points.get(anchor, {}).keys() & points.get(test, {}).keys()
    each = [delta(points[anchor][i], points[test][i]) for i in sorted(images)]
    found = [d for d in each if d is not None]
    if not found or len(found) < len(each):  # an average over some of the images would flatter
        return None
    gains = [d.gain for d in found if d.gain is not None]
    gain = float(np.mean(gains)) if len(gains) == len(found) else None
    return Delta(float(np.mean([d.rate for d in found])), min(d.low for d in found), max(d.high for d in found), gain)


def quality_at(curve: list[Point], bpp: float) -> float | None:
    """Quality of a curve at a rate, linear in log rate; None outside the curve."""
    rates, qualities = np.transpose(curve)
    if not rates[0] <= bpp <= rates[-1]:
        return None
    return float(np.interp(np.log(bpp), np.log(rates), qualities))


def load_published(path: Path) -> dict[str, list[Point]]:
    """Published curves by name, from the JSON of ``shared/reference_rd``: mean bpp and mean PSNR.

    Raises :class:`ConfigError` where the file is something else.
    """
    try:
        curves = json.loads(path.read_text())["curves"]
        return {name: [(float(r), float(q)) for r, q in curve["points"]] for name, curve in curves.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: holds no published curves: {error!r}") from error


def _rising(points: list[Point]) -> list[Point]:
    """Return the points at which quality rises with rate, as interpolation over quality needs."""
    kept: list[Point] = []
    for rate, quality in sorted(points):
        if not kept or (quality > kept[-1][1] and rate > kept[-1][0]):
            kept.append((rate, quality))
    return kept
