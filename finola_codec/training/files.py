"""What a codec is worth in real files: on held-out pictures, against the model that it comes from and other codecs."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finola_codec.errors import ConfigError
from finola_codec.evaluation import rd
from finola_codec.evaluation.codecs import FinolaCodec, ImageCodec, find
from finola_codec.evaluation.metrics import ms_ssim, psnr
from finola_codec.nn.live import LiveModel
from finola_codec.nn.model import Codec
from finola_codec.runtime.model import Model

QUALITIES = (10, 30, 50, 70, 90)
EFFORT = 1  # no layer is looked for: it is the weights that are measured, and lossless files have no BD-rate
COUNT, SIDE = 6, 384  # how many held-out pictures are coded while a run goes on, and the most pixels a side of each
METRIC_OF = {"psnr": "psnr", "ssim": "ms_ssim"}  # what a run is measured by, by what it is tuned for
OTHERS = ("avif",)  # codecs that a run is compared with beside the model that it comes from
STRIP_QUALITY = 30

Record = dict[str, Any]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Checked:
    """Files of one codec: a record for each, BD-rates in percent against others, and pictures beside their decodes."""

    records: list[Record]
    bd_rates: Mapping[str, float]
    strip: Image.Image


class HeldOut:
    """Held-out pictures, and what the codecs that a run is compared with make of them."""

    def __init__(
        self, pictures: Sequence[Pixels], origin: Model | None, others: Sequence[str] = OTHERS, metric: str = "psnr"
    ) -> None:
        self.pictures, self.metric = [Image.fromarray(pixels) for pixels in pictures], metric
        codecs = [*([FinolaCodec(origin, EFFORT, QUALITIES)] if origin else []), *_installed(others)]
        self.names = [codec.name for codec in codecs]
        self.records = [record for codec in codecs for record in measure(codec, self.pictures)]

    def check(self, codec: Codec) -> Checked:
        """Encode and decode every picture as files of ``codec``."""
        model = LiveModel(codec)
        coder = FinolaCodec(model, EFFORT, QUALITIES)
        records = measure(coder, self.pictures)
        deltas = {name: rd.mean_delta(self.records + records, name, coder.name, self.metric) for name in self.names}
        decoded = [coder.decode(coder.encode(picture, STRIP_QUALITY)) for picture in self.pictures]
        rates = {name: delta.rate for name, delta in deltas.items() if delta is not None}
        return Checked(records, rates, _strip(self.pictures, decoded))


def compare(codec: ImageCodec, anchors: Sequence[str], models: Sequence[Model], pictures: Sequence[Pixels]) -> str:
    """Write a Markdown table: a codec's mean bpp, PSNR and MS-SSIM by quality, and its BD-rates against others."""
    images = [Image.fromarray(pixels) for pixels in pictures]
    records = measure(codec, images)
    others = [*(FinolaCodec(model, EFFORT, QUALITIES) for model in models), *_installed(anchors)]
    everything = records + [record for other in others for record in measure(other, images)]
    lines = ["| quality | bit/pixel | PSNR, dB | MS-SSIM |", "| --- | --- | --- | --- |"]
    for setting in codec.settings:
        chosen = [record for record in records if record["setting"] == setting]
        bpp, psnr, ms_ssim = (_mean(record[name] for record in chosen) for name in ("bpp", "psnr", "ms_ssim"))
        lines.append(f"| {setting:.0f} | {bpp:.3f} | {psnr:.2f} | {ms_ssim:.4f} |")
    for metric, title in (("psnr", "PSNR"), ("ms_ssim", "MS-SSIM")):
        deltas = {other.name: rd.mean_delta(everything, other.name, codec.name, metric) for other in others}
        rates = (f"{n} {'nothing in common' if d is None else f'{d.rate:+.1f} %'}" for n, d in deltas.items())
        lines += ["", f"BD-rate by {title} against {', '.join(rates)}."]
    return "\n".join(lines)


def _mean(values: Iterable[float | None]) -> float:
    """Return the mean of what could be measured; NaN where nothing could."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else math.nan


def _installed(names: Sequence[str]) -> list[ImageCodec]:
    found = []
    for name in names:
        with contextlib.suppress(ConfigError):  # an old Pillow may be without it
            found += find([name])
    return found


def measure(codec: ImageCodec, pictures: Sequence[Image.Image]) -> list[Record]:
    """Encode and decode pictures at every setting of a codec: a record of bpp, PSNR (dB) and MS-SSIM for each file."""
    records = []
    for number, picture in enumerate(pictures):
        for setting in codec.settings:
            data = codec.encode(picture, setting)
            pixels, decoded = np.asarray(picture), np.asarray(codec.decode(data))
            bpp = 8 * len(data) / (picture.width * picture.height)
            record: Record = {"codec": codec.name, "image": number, "setting": setting, "bpp": bpp}
            records.append(record | {"psnr": psnr(pixels, decoded), "ms_ssim": ms_ssim(pixels, decoded)})
    return records


def _strip(originals: Sequence[Image.Image], decoded: Sequence[Image.Image]) -> Image.Image:
    """Put the originals in a row, and the decoded pictures in another below it."""
    width, height = sum(p.width for p in originals), max(p.height for p in originals)
    strip = Image.new("RGB", (width, 2 * height), "white")
    left = 0
    for above, below in zip(originals, decoded, strict=True):
        strip.paste(above, (left, 0))
        strip.paste(below, (left, height))
        left += above.width
    return strip
