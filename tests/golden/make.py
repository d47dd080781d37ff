"""Write the golden files and their hashes, with the shipped models: python -m tests.golden.make, after new weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from finola_codec import encode
from finola_codec.codec import fingerprint

FOLDER = Path(__file__).parent
HASHES = FOLDER / "hashes.json"
MODELS = ("finola-base", "finola-256")


def pictures() -> dict[str, tuple[Image.Image, int]]:
    """Crops of scikit-image's photographs by name, with a quality each: one pixel and more, odd sizes, all modes."""
    cat, coffee, astronaut = (
        Image.fromarray(p) for p in (skimage.data.cat(), skimage.data.coffee(), skimage.data.astronaut())
    )
    alpha = Image.fromarray(np.tile(np.arange(90, dtype=np.uint8), (70, 1)))
    transparent = astronaut.crop((200, 60, 290, 130)).convert("RGBA")
    transparent.putalpha(alpha)
    return {
        "pixel": (cat.crop((0, 0, 1, 1)), 50),
        "row": (coffee.crop((100, 200, 237, 201)), 75),
        "small": (cat.crop((120, 60, 167, 93)), 100),
        "grey": (astronaut.crop((180, 40, 280, 140)).convert("L"), 20),
        "transparent": (transparent, 35),
        "coarse": (coffee, 1),
        "medium": (astronaut.crop((100, 0, 401, 257)), 50),
    }


def main() -> None:
    """Write NAME.MODEL.fin for every picture and model, and hashes.json."""
    hashes = {}
    for model in MODELS:
        for name, (picture, quality) in pictures().items():
            data = encode(picture, quality, model=model)
            path = FOLDER / f"{name}.{model}.fin"
            path.write_bytes(data)
            hashes[path.name] = {"file": hashlib.sha256(data).hexdigest(), "integers": fingerprint(data)}
    HASHES.write_text(json.dumps(hashes, indent=1) + "\n")


if __name__ == "__main__":
    main()
