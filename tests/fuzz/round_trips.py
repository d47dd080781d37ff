"""Encode and decode hard pictures of any size with a shipped model: every file that is written can be read.

    python -m tests.fuzz.round_trips MODEL WIDTHxHEIGHT...

Each kind of picture of `tests/hard.py` goes through the API at qualities 1, 30, 50 and 100 without a layer, and at
quality 50 with the layer that `encode` chooses, as a file that the command line and the Pillow plugin read.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import finola_codec.pillow_plugin  # noqa: F401  (Pillow opens .fin files then)
from finola_codec import decode, encode
from tests import hard

QUALITIES = (1, 30, 50, 100)


def through_api(picture: Image.Image, model: str) -> list[int]:
    """Return the bytes that the picture takes at each quality; each file was decoded to the picture's size."""
    sizes = []
    for quality in QUALITIES:
        data = encode(picture, quality, model=model, layer="off")
        assert decode(data).size == picture.size
        sizes.append(len(data))
    return sizes


def through_files(picture: Image.Image, model: str) -> int:
    """Return the bytes of a file that the command line wrote; it and the plugin decode it to the same pixels."""
    with tempfile.TemporaryDirectory() as folder:
        source, coded, decoded = (Path(folder, name) for name in ("in.png", "out.fin", "out.png"))
        picture.save(source)
        for command in (["encode", source, coded, "--model", model], ["decode", coded, decoded]):
            subprocess.run([sys.executable, "-m", "finola_codec", *map(str, command)], check=True)
        data = coded.read_bytes()
        with Image.open(decoded) as by_command, Image.open(io.BytesIO(data)) as by_plugin:
            assert np.array_equal(np.asarray(by_command), np.asarray(by_plugin))
            assert by_command.size == picture.size
        return len(data)


def main(model: str, sizes: list[str]) -> None:
    Image.MAX_IMAGE_PIXELS = None
    for size in sizes:
        width, height = map(int, size.split("x"))
        for kind, make in hard.PICTURES.items():
            picture = make(width, height)
            line = f"{model} {size} {kind}: bytes at qualities {QUALITIES} {through_api(picture, model)}"
            print(f"{line}, as a file with a layer {through_files(picture, model)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
