"""Two codecs at equal bytes."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from finola_codec.evaluation.codecs import ImageCodec

BISECTIONS = 9
GAP = 8  # pixels between the pictures
TEXT = 18  # height of the captions, pixels


def at_bytes(codec: ImageCodec, image: Image.Image, size: int) -> bytes:
    """The largest file of at most ``size`` bytes that bisection of the codec's scale finds, else its smallest."""
    worst, best = codec.settings[0], codec.settings[-1]
    smallest = codec.encode(image, worst)
    found = smallest if len(smallest) <= size else None
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        data = codec.encode(image, worst + middle * (best - worst))
        if len(data) <= size:
            low = middle
            found = data if found is None or len(data) > len(found) else found
        else:
            high = middle
    return found or smallest


def side_by_side(panels: list[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures of one size beside each other, each under its caption."""
    width, height = panels[0][1].size
    sheet = Image.new("RGB", (len(panels) * (width + GAP) - GAP, height + TEXT), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT - 6)
    for index, (caption, picture) in enumerate(panels):
        left = index * (width + GAP)
        draw.text((left + 2, 2), caption, "black", font)
        sheet.paste(picture, (left, TEXT))
    return sheet
