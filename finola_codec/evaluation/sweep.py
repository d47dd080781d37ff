"""Every codec over every picture and setting, a line of JSON each, resumed where it stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from finola_codec import images
from finola_codec.errors import ConfigError, ImageError
from finola_codec.evaluation.codecs import ImageCodec

RESULTS = "results.jsonl"
Record = dict[str, Any]


def find_pictures(source: Path) -> list[Path]:
    """The pictures of a folder (by Pillow's suffixes), or those that a text file lists, a path a line."""
    if source.is_dir():
        suffixes = Image.registered_extensions()
        found = sorted(p for p in source.rglob("*") if p.suffix.lower() in suffixes)
    elif source.suffix == ".txt":
        found = [source.parent / line for line in source.read_text().splitlines() if line.strip()]
    else:
        found = [source]
    if not found:
        raise ConfigError(f"{source}: no picture to evaluate")
    return found


def run(
    pictures: Sequence[Path], codecs: Sequence[ImageCodec], out: Path, resize: int | None, crop: int | None
) -> Iterator[Record]:
    """Measure what ``out`` does not hold yet, write each result as it is there, and yield it.

    ``resize`` brings the shorter side to so many pixels, ``crop`` takes the centre: the ImageNet protocol of the
    paper is 256 for both. A picture that cannot be read is reported as a record with an ``error``.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = {(r["image"], r["codec"], r["setting"]) for r in load(out) if "error" not in r}
    with (out / RESULTS).open("a") as file:
        for path in pictures:
            missing = [(c, s) for c in codecs for s in c.settings if (path.name, c.name, s) not in done]
            for record in _measure(path, missing, resize, crop) if missing else ():
                file.write(json.dumps(record) + "\n")
                file.flush()
                yield record


def load(out: Path) -> list[Record]:
    """The results that ``out`` holds; a last line that was cut off is ignored."""
    if not (out / RESULTS).exists():
        return []
    lines = (out / RESULTS).read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _measure(
    path: Path, wanted: Sequence[tuple[ImageCodec, float]], resize: int | None, crop: int | None
) -> Iterator[Record]:
    from finola_codec.evaluation.metrics import measure

    try:
        picture = _prepare(images.read(path, str(path)), resize, crop)
    except ImageError as error:
        yield {"image": path.name, "error": str(error)}
        return
    pixels = picture.width * picture.height
    for codec, setting in wanted:
        began = time.perf_counter()
        data = codec.encode(picture, setting)
        encoded = time.perf_counter()
        decoded = codec.decode(data)
        finished = time.perf_counter()
        record: Record = {"image": path.name, "codec": codec.name, "setting": setting}
        record |= {"bytes": len(data), "bpp": 8 * len(data) / pixels} | measure(picture, decoded)
        record |= {"encode_s": round(encoded - began, 4), "decode_s": round(finished - encoded, 4)}
        yield record


def _prepare(picture: Image.Image, resize: int | None, crop: int | None) -> Image.Image:
    picture = ImageOps.exif_transpose(picture).convert("RGB")
    if resize:
        scale = resize / min(picture.size)
        size = (max(resize, round(picture.width * scale)), max(resize, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    if crop:
        left, top = (picture.width - crop) // 2, (picture.height - crop) // 2
        picture = picture.crop((left, top, left + crop, top + crop))
    return picture
