"""Encode and decode the sample photograph with the shipped weights, beside JPEG at about the same size."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
from PIL import Image

import finola_codec

SAMPLE = Path(__file__).parent / "sample.png"


def psnr(a: Image.Image, b: Image.Image) -> float:
    """dB between two RGB pictures."""
    return float(10 * np.log10(255**2 / np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)))


def jpeg_of_size(picture: Image.Image, size: int) -> bytes:
    """The best JPEG of at most ``size`` bytes, or the smallest there is."""
    files = []
    for quality in range(1, 96):
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality, optimize=True)
        files.append(out.getvalue())
    return max((f for f in files if len(f) <= size), key=len, default=files[0])


def main() -> None:
    """Print bytes, bit/pixel and PSNR at three qualities, and write the pictures to demo-out/."""
    picture = Image.open(SAMPLE).convert("RGB")
    pixels = picture.width * picture.height
    out = Path("demo-out")
    out.mkdir(exist_ok=True)
    print(f"{SAMPLE.name}: {picture.width} x {picture.height}, model {finola_codec.load_model().name}")
    print("codec   quality    bytes   bit/pixel   PSNR, dB   encode, s   decode, s")
    for quality in (10, 30, 50, 70):
        began = time.perf_counter()
        data = finola_codec.encode(picture, quality)
        encoded = time.perf_counter()
        decoded = finola_codec.decode(data)
        done = time.perf_counter()
        (out / f"sample-{quality}.fin").write_bytes(data)
        decoded.save(out / f"sample-{quality}.png")
        row = f"finola  {quality:7}  {len(data):7}  {8 * len(data) / pixels:10.3f}  {psnr(picture, decoded):9.2f}"
        print(f"{row}  {encoded - began:10.2f}  {done - encoded:10.2f}")
        jpeg = jpeg_of_size(picture, len(data))
        decoded = Image.open(io.BytesIO(jpeg))
        print(f"jpeg             {len(jpeg):7}  {8 * len(jpeg) / pixels:10.3f}  {psnr(picture, decoded):9.2f}")
    print(f"The files are in {out}/.")


if __name__ == "__main__":
    main()
