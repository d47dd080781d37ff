"""Two codecs at equal bytes."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from finola_codec.evaluation.codecs import ImageCodec

BISECTIONS = 9
GAP = 8  # pixels between the pictures
NEAR = 1.05  # files whose sizes have this ratio at most are about equal


def at_bytes(codec: ImageCodec, image: Image.Image, size: int) -> bytes:
    """Find the largest file of at most ``size`` bytes by bisection of the codec's scale, or else its smallest file."""
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


def caption(name: str, size: int, wanted: int, psnr: float) -> str:
    """Write what stands above a decoded picture: codec, bytes, PSNR, and whether the bytes are those ``wanted``."""
    unequal = "" if max(size, wanted) <= NEAR * min(size, wanted) else ", NOT EQUAL"
    return f"{name}: {size:,} bytes{unequal}, {psnr:.2f} dB"


def side_by_side(panels: list[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures of one size beside each other, each under its caption, which grows with them."""
    width, height = panels[0][1].size
    text = min(48, max(12, width // 40))
    font = ImageFont.load_default(text)
    widest = max(width, *(int(font.getlength(title)) + 4 for title, _ in panels))
    top = text + text // 2
    sheet = Image.new("RGB", (len(panels) * (widest + GAP) - GAP, height + top), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (title, picture) in enumerate(panels):
        left = index * (widest + GAP)
        draw.text((left + 2, 2), title, "black", font)
        sheet.paste(picture, (left, top))
    return sheet
