"""Table 4(b) of the paper: PSNR at 0.19 bit/pixel, ours against JPEG, and what entropy coding saves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from finola_codec.entropy.factorised import ExactFactorised
from finola_codec.errors import ConfigError
from finola_codec.evaluation import rd, sweep
from finola_codec.evaluation.pictures import Picture
from finola_codec.parallel import Engine
from finola_codec.quality import QUALITIES
from finola_codec.runtime.model import load_model

BPP = 0.19  # the rate at which the paper reports
PROTOCOLS = {"kodak": (None, None), "imagenet": (256, 256)}  # shorter side, centre crop
PAPER = {
    "kodak": (25.6, 24.0),
    "imagenet": (24.9, None),
}  # the paper's PSNR of FINOLA at 0.19 bpp and of JPEG at 0.20 bpp


@dataclass(frozen=True)
class Table4:
    """One data set: ours at the highest of its qualities within 0.19 bit/pixel, and JPEG by Pillow there (dB)."""

    data: str
    quality: int
    bpp: float
    psnr: float
    jpeg: float | None  # at 0.19 bpp; None where JPEG does not go so low
    jpeg_at_ours: float | None  # JPEG's PSNR at our rate
    fixed_bpp: float  # rate of the same integers in codes of a fixed length for each channel

    @property
    def saved(self) -> float:
        """What entropy coding saves over codes of fixed length, in percent."""
        return 100 * (1 - self.bpp / self.fixed_bpp)


def table4(data: str, pictures: Sequence[Picture], model: str, out: Path, engine: Engine) -> Table4:
    """Measure one data set, with real files, into ``out``. Raises :class:`ConfigError` for other models."""
    jpeg = rd.mean_curve(_measured(pictures, sweep.Plan(("jpeg",), (), *PROTOCOLS[data]), out, engine), "jpeg")
    if not jpeg:
        raise ConfigError(f"{data}: no picture could be read")
    quality, (bpp, psnr) = _highest_within(pictures, model, sweep.Plan((), (model,), *PROTOCOLS[data]), out, engine)
    fixed = _fixed_length(pictures, model, quality, PROTOCOLS[data])
    return Table4(data, quality, bpp, psnr, rd.quality_at(jpeg, BPP), rd.quality_at(jpeg, bpp), fixed)


def _highest_within(
    pictures: Sequence[Picture], model: str, plan: sweep.Plan, out: Path, engine: Engine
) -> tuple[int, rd.Point]:
    """Return the highest quality whose mean rate is within BPP, by bisection, and its mean rate and PSNR."""
    name, best = load_model(model).name, None
    low, high = 1, QUALITIES
    while low <= high:
        quality = (low + high) // 2
        (point,) = rd.mean_curve(_measured(pictures, replace(plan, qualities=(quality,)), out, engine), name)
        if point[0] <= BPP:
            best, low = (quality, point), quality + 1
        else:
            high = quality - 1
    if best is None:
        raise ConfigError(f"{name} does not go down to {BPP} bit/pixel")
    return best


def _measured(pictures: Sequence[Picture], plan: sweep.Plan, out: Path, engine: Engine) -> list[sweep.Record]:
    with closing(sweep.run(pictures, plan, out, engine)) as records:
        for _ in records:
            pass
    return sweep.results(pictures, plan, out)


def _fixed_length(
    pictures: Sequence[Picture], model: str, quality: int, protocol: tuple[int | None, int | None]
) -> float:
    """Bits a pixel when every channel has as many bits as its range over all the pictures needs."""
    opened = load_model(model)
    prior = opened.prior
    if not isinstance(prior, ExactFactorised):
        raise ConfigError(f"{opened.name} has no codes of fixed length to compare with: it is not a model of one tile")
    rows, pixels = [], 0
    for picture in pictures:
        original = np.asarray(picture.read(*protocol))
        y = opened.transforms.analyse(original, quality)
        rows.append(prior.residuals(y, quality, opened.price(quality)))
        pixels += original.shape[0] * original.shape[1]
    residuals = np.concatenate(rows)  # (tiles, C)
    levels = residuals.max(0).astype(np.int64) - residuals.min(0) + 1
    return float(np.ceil(np.log2(levels)).sum() * len(residuals) / pixels)
