"""Text, charts and other graphics: what the lossless layer is worth, and where the codec stands.

    python kodak_eval/graphics.py measure RESULTS [DATA]       # resumed where it stopped; --codec takes some only
    python kodak_eval/graphics.py report RESULTS               # writes the tables of docs/graphics.md
    python kodak_eval/graphics.py crops DATA                   # writes docs/graphics.png

The pictures are those of graphics_test.txt, which neither training nor tuning has seen. Compared are the bits that a
codec takes at the PSNR of each of another codec's points between 28 and 48 dB, once in the file of its own that has at
least that PSNR, once between its lossy files: BD-rate is undefined where a curve becomes lossless. A codec's files that
are lossless count among its points.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image, ImageDraw

from finola_codec import codec, journal, load_model
from finola_codec.evaluation import metrics
from finola_codec.evaluation.codecs import AVIF, JXL, WEBP, FinolaCodec, ImageCodec, PillowCodec, find
from finola_codec.runtime.model import Model

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
DATA = HERE.parent.parent / "shared" / "data" / "train" / "graphics"
PICTURES = (HERE / "graphics_test.txt").read_text().split()
KINDS = tuple(dict.fromkeys(name.split("/")[0] for name in PICTURES))
RANGE = (28, 48)  # dB
QUALITIES = (1, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 90, 100)
FEWER = (1, 20, 40, 60, 80, 100)  # without a layer, where the curve has no jumps
SETTING = 0.0  # of codecs that have no quality
OURS, WITHOUT, LOSSLESS = "finola-base", "finola-base, layer off", "finola-base, layer only"
CROPS = (
    ("charts/has2k1_plotnine_007.webp", (20, 20, 220, 140)),
    ("screens/napari_docs_004.webp", (60, 40, 260, 160)),
    ("text/generated_twocol8.webp", (80, 80, 280, 200)),
    ("pages/CartoDB_basemap-styles_002.webp", (200, 200, 400, 320)),
)


@dataclass(frozen=True)
class Layered:
    """Our model with a choice of layer."""

    name: str
    layer: Any
    settings: tuple[float, ...]
    model: Model

    @property
    def identity(self) -> dict[str, Any]:
        """As FinolaCodec has it, with the name."""
        return {**FinolaCodec(self.model).identity, "codec": self.name}

    def about(self) -> str:
        """Its version and its options."""
        return f"{FinolaCodec(self.model).about()}, layer {self.layer}"

    def encode(self, image: Image.Image, setting: float) -> bytes:
        """The bytes of an RGB picture."""
        return codec.encode(image, int(setting) or 50, model=self.model, layer=self.layer)

    def decode(self, data: bytes) -> Image.Image:
        """The picture back, as RGB."""
        return codec.decode(data, model=self.model)


def codecs() -> dict[str, ImageCodec]:
    """All that is measured, by name."""
    find(["avif", "webp", "jxl"])  # says what is missing
    model = load_model("finola-base", threads=1)
    lossless = {"lossless": True}
    found: list[ImageCodec] = [
        Layered(OURS, "auto", QUALITIES, model),
        Layered(WITHOUT, "off", FEWER, model),
        Layered(LOSSLESS, "only", (SETTING,), model),
        AVIF,
        WEBP,
        PillowCodec(
            "webp lossless", "WEBP", (SETTING,), lambda _: {**lossless, "quality": 100, "method": 6}, WEBP.library
        ),
        PillowCodec("png", "PNG", (SETTING,), lambda _: {"optimize": True}, lambda: "Pillow"),
        JXL,
        PillowCodec("jxl lossless", "JXL", (SETTING,), lambda _: {**lossless, "effort": 7}, JXL.library),
    ]
    return {c.name: c for c in found}


def psnr(a: Image.Image, b: Image.Image) -> float:
    """dB of two RGB pictures, :data:`metrics.EXACT` for a lossless one."""
    return metrics.psnr(np.asarray(a), np.asarray(b))


@click.group()
def main() -> None:
    """Measure on graphics."""


@main.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path), default=DATA)
@click.option("--codec", "names", multiple=True, help="Of those that are measured; all by default.")
def measure(results: Path, data: Path, names: tuple[str, ...]) -> None:
    """Write a line of JSON for each picture, codec and setting."""
    known = codecs()
    done = {_key(line) for line in journal.load(results)}
    with journal.appending(results) as append:
        for name in sorted(PICTURES, key=_place):  # some of each kind first, for where it is stopped early
            image = Image.open(data / name).convert("RGB")
            for one in (known[n] for n in names or known):
                for setting in one.settings:
                    line = {"image": name, **one.identity, "setting": float(setting)}
                    if _key(line) not in done:
                        encoded = one.encode(image, setting)
                        append({**line, "bytes": len(encoded), "psnr": psnr(image, one.decode(encoded))})
            click.echo(name)


def _place(name: str) -> int:
    """The place of a picture among those of its kind."""
    return [n for n in PICTURES if n.split("/")[0] == name.split("/")[0]].index(name)


def _key(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line.get(k) for k in ("image", "codec", "model_sha256", "format", "setting"))


Points = list[tuple[float, float]]  # bytes and dB


def points(results: Path) -> dict[str, dict[str, Points]]:
    """Codec -> picture -> points, of the shipped model and of others; lossless files belong to their codec."""
    identity = FinolaCodec(load_model("finola-base")).identity
    found: dict[str, dict[str, Points]] = defaultdict(lambda: defaultdict(list))
    for line in journal.load(results):
        if line.get("model_sha256") in (None, identity["model_sha256"]):
            found[line["codec"]][line["image"]].append((line["bytes"], line["psnr"]))
    for exact, whole in ((LOSSLESS, OURS), (LOSSLESS, WITHOUT), ("webp lossless", "webp"), ("jxl lossless", "jxl")):
        for image in found[exact]:
            found[whole][image] += found[exact][image]
    return found


def ratio(test: Points, anchor: Points, taken: Callable[[Points, float], float]) -> float | None:
    """The mean log ratio of bytes at the PSNR of each of the anchor's points in RANGE, None without any.

    ``taken`` says how many bytes a codec takes for a PSNR; of the anchor, whose own it is, that is a file.
    """
    each = [
        np.log(taken(test, wanted) / reaching(anchor, wanted)) for _, wanted in anchor if RANGE[0] <= wanted <= RANGE[1]
    ]
    return float(np.mean(each)) if each else None


def reaching(curve: Points, wanted: float) -> float:
    """The bytes of the smallest file that has at least so many dB; one that is lossless reaches anything."""
    return min(size for size, reached in curve if reached >= wanted)


def between(curve: Points, wanted: float) -> float:
    """The bytes at so many dB, their log being linear between two lossy files. Larger ones of fewer dB do not count."""
    lossy = sorted(reached for _, reached in curve if reached < metrics.EXACT)
    if not lossy or wanted > lossy[-1]:
        return reaching(curve, wanted)
    return float(np.exp(np.interp(wanted, lossy, [np.log(reaching(curve, each)) for each in lossy])))


@main.command()
@click.argument("results", type=click.Path(path_type=Path))
def report(results: Path) -> None:
    """Print tables, by kind, the mean over the pictures and the worst of them."""
    found = points(results)
    for test, taken, title in (
        (OURS, between, "With the layer, between our files"),
        (OURS, reaching, "With the layer, our files that reach it"),
        (WITHOUT, between, "`--layer off`, between our files"),
    ):
        print(f"\n**{title}**, bits in percent of the other codec's, mean of each kind and its worst picture:\n")
        print("| kind | pictures | AVIF 4:4:4 | WebP | JPEG XL |\n| --- | --- | --- | --- | --- |")
        for kind in (*KINDS, ""):
            images = [i for i in PICTURES if i.startswith(kind) and len(found[test][i]) > 1 and found[LOSSLESS][i]]
            cells = [
                _cell([ratio(found[test][i], found[a][i], taken) for i in images]) for a in ("avif", "webp", "jxl")
            ]
            print(f"| {kind or '**all**'} | {len(images)} | {' | '.join(cells)} |")
    print("\n**Lossless files**, bits in percent of the other codec's:\n")
    print("| kind | PNG | WebP | JPEG XL |\n| --- | --- | --- | --- |")
    for kind in (*KINDS, ""):
        images = [i for i in PICTURES if i.startswith(kind) and found[LOSSLESS][i]]
        cells = [
            _cell([float(np.log(found[LOSSLESS][i][0][0] / found[a][i][0][0])) for i in images if found[a][i]])
            for a in ("png", "webp lossless", "jxl lossless")
        ]
        print(f"| {kind or '**all**'} | {' | '.join(cells)} |")


def _cell(logs: list[float | None]) -> str:
    there = [value for value in logs if value is not None]
    if not there:
        return "-"
    mean, worst = (100 * np.expm1(value) for value in (np.mean(there), max(there)))
    return f"{mean:+.0f} ({worst:+.0f})"


@main.command()
@click.argument("data", type=click.Path(path_type=Path), default=DATA)
def crops(data: Path) -> None:
    """Write docs/graphics.png: the original, with and without the layer, and AVIF of as many bytes as with it."""
    model = load_model("finola-base", threads=1)
    titles = ("original", "layer off", "layer auto", "AVIF")
    width, height = (CROPS[0][1][i + 2] - CROPS[0][1][i] for i in (0, 1))
    sheet = Image.new("RGB", (len(titles) * (width + 8), len(CROPS) * (height + 24)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, box) in enumerate(CROPS):
        image = Image.open(data / name).convert("RGB")
        encoded = codec.encode(image, 40, model=model)
        others = [
            (codec.encode(image, 40, model=model, layer="off"), codec.decode),
            (encoded, codec.decode),
            (_largest_avif(image, len(encoded)), AVIF.decode),
        ]
        shown = [(f"original, {image.width} x {image.height}", image)]
        for title, (data_, decode) in zip(titles[1:], others, strict=True):
            decoded = decode(data_)
            shown.append((f"{title}, {len(data_):,} bytes, {psnr(image, decoded):.1f} dB", decoded))
        for column, (text, picture) in enumerate(shown):
            left, top = column * (width + 8), row * (height + 24)
            draw.text((left, top), text, fill="black")
            sheet.paste(picture.crop(box), (left, top + 14))
    sheet.quantize(128, dither=Image.Dither.NONE).save(DOCS / "graphics.png", optimize=True)


def _largest_avif(image: Image.Image, limit: int) -> bytes:
    """The AVIF file of the highest quality that has at most so many bytes, or the smallest there is."""
    best, low, high = AVIF.encode(image, 1), 2, 100
    while low <= high:
        middle = (low + high) // 2
        data = AVIF.encode(image, middle)
        best, low, high = (data, middle + 1, high) if len(data) <= limit else (best, low, middle - 1)
    return best


if __name__ == "__main__":
    main()
