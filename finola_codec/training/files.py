"""What a codec is worth in real files: on held-out pictures, against the model that it comes from and other codecs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finola_codec.errors import ConfigError
from finola_codec.evaluation import rd
from finola_codec.evaluation.codecs import FinolaCodec, ImageCodec, find
from finola_codec.evaluation.metrics import psnr
from finola_codec.nn.live import LiveModel
from finola_codec.nn.model import Codec
from finola_codec.runtime.model import Model

QUALITIES = (10, 30, 50, 70, 90)
COUNT, SIDE = 6, 384  # how many held-out pictures are coded while a run goes on, and the most pixels a side of each
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

    def __init__(self, pictures: Sequence[Pixels], origin: Model | None, others: Sequence[str] = OTHERS) -> None:
        self.pictures = [Image.fromarray(pixels) for pixels in pictures]
        codecs = [*([FinolaCodec(origin, settings=QUALITIES)] if origin else []), *_installed(others)]
        self.names = [codec.name for codec in codecs]
        self.records = [record for codec in codecs for record in measure(codec, self.pictures)]

    def check(self, codec: Codec) -> Checked:
        """Encode and decode every picture as files of ``codec``."""
        model = LiveModel(codec)
        coder = FinolaCodec(model, settings=QUALITIES)
        records = measure(coder, self.pictures)
        deltas = {name: rd.mean_delta(self.records + records, name, coder.name) for name in self.names}
        decoded = [coder.decode(coder.encode(picture, STRIP_QUALITY)) for picture in self.pictures]
        rates = {name: delta.rate for name, delta in deltas.items() if delta is not None}
        return Checked(records, rates, _strip(self.pictures, decoded))


def compare(codec: ImageCodec, anchors: Sequence[str], models: Sequence[Model], pictures: Sequence[Pixels]) -> str:
    """Write a Markdown table: a codec's mean bpp and PSNR by quality, and its BD-rates against other codecs."""
    images = [Image.fromarray(pixels) for pixels in pictures]
    records = measure(codec, images)
    others = [*(FinolaCodec(model, settings=QUALITIES) for model in models), *_installed(anchors)]
    rates = []
    for other in others:
        delta = rd.mean_delta(records + measure(other, images), other.name, codec.name)
        rates.append(f"{other.name} {'no common PSNR' if delta is None else f'{delta.rate:+.1f} %'}")
    lines = ["| quality | bit/pixel | PSNR, dB |", "| --- | --- | --- |"]
    for setting in codec.settings:
        chosen = [record for record in records if record["setting"] == setting]
        bpp, psnr = (np.mean([record[name] for record in chosen]) for name in ("bpp", "psnr"))
        lines.append(f"| {setting:.0f} | {bpp:.3f} | {psnr:.2f} |")
    return "\n".join([*lines, "", f"BD-rate against {', '.join(rates)}."])


def _installed(names: Sequence[str]) -> list[ImageCodec]:
    found = []
    for name in names:
        with contextlib.suppress(ConfigError):  # an old Pillow may be without it
            found += find([name])
    return found


def measure(codec: ImageCodec, pictures: Sequence[Image.Image]) -> list[Record]:
    """Encode and decode pictures at every setting of a codec: a record of bpp and PSNR (dB) for each file."""
    records = []
    for number, picture in enumerate(pictures):
        for setting in codec.settings:
            data = codec.encode(picture, setting)
            reached = psnr(np.asarray(picture), np.asarray(codec.decode(data)))
            bpp = 8 * len(data) / (picture.width * picture.height)
            records.append({"codec": codec.name, "image": number, "setting": setting, "bpp": bpp, "psnr": reached})
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
