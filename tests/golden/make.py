"""Write the golden files and their hashes, with the shipped models: python -m tests.golden.make, after new weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw

from finola_codec import Model, encode, fingerprint, info, load_model
from finola_codec.container import HYPER, VECTORS, Header, pack
from finola_codec.profiles import BlockProfile

FOLDER = Path(__file__).parent
HASHES = FOLDER / "hashes.json"
MODELS = ("finola-base", "finola-256")
EXTREME = "extreme"  # which no encoder makes of a picture
LAYERED = ("chart", "text")  # the others have none, so that each tests what it is meant to


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
        "flat": (Image.new("RGB", (200, 150), (200, 30, 90)), 60),  # most of its cells repeat
        "chart": (chart(cat), 50),  # a layer over all but the photograph
        "text": (page(), 50),  # a layer and nothing else
        "large": (coffee.resize((2400, 1800)), 1),  # more than one part a phase
    }


def page() -> Image.Image:
    """Some lines of text."""
    image = Image.new("RGB", (240, 160), "white")
    draw = ImageDraw.Draw(image)
    for line in range(10):
        draw.text((10, 8 + 15 * line), f"Line {line} of a page, {line**3} words.", fill=(20, 20, 60))
    return image


def chart(photograph: Image.Image) -> Image.Image:
    """A page with a photograph on it."""
    image = page().resize((480, 320), Image.Resampling.NEAREST)
    image.paste(photograph.crop((60, 40, 252, 200)), (272, 80))
    return image


def extreme(model: Model) -> bytes:
    """A file of 2 x 3 C-vectors whose residuals are the largest that can be coded: every one is an escape."""
    rng, profile = np.random.default_rng(0), model.profile
    y = (rng.choice([-1e9, 1e9], (2, 3, profile.channels))).astype(np.float32)
    z = rng.choice([-1e9, 1e9], (1, 1, profile.prior.hyper_channels)) if isinstance(profile, BlockProfile) else None
    payloads = model.prior.encode(y, None if z is None else z.astype(np.float32), 100)
    header = Header(model.id, 3 * profile.block, 2 * profile.block, "RGB", 100)
    return pack(header, {HYPER: payloads.hyper, VECTORS: payloads.vectors})


def files(model: str) -> dict[str, bytes]:
    """Encode every picture with a model. Files that it wrote before, on whatever machine, stay as they are."""
    opened, made = load_model(model), {}
    for name, (picture, quality) in ({**pictures(), EXTREME: (None, 100)}).items():
        path = FOLDER / f"{name}.{model}.fin"
        if path.exists() and info(path.read_bytes()).model_id == opened.id.hex():
            made[path.name] = path.read_bytes()
        elif picture is None:
            made[path.name] = extreme(opened)
        else:
            made[path.name] = encode(picture, quality, model=opened, layer="auto" if name in LAYERED else "off")
    return made


def main() -> None:
    """Write NAME.MODEL.fin for every picture and model, and hashes.json."""
    hashes = {}
    for model in MODELS:
        for name, data in files(model).items():
            (FOLDER / name).write_bytes(data)
            hashes[name] = {"file": hashlib.sha256(data).hexdigest(), "integers": fingerprint(data)}
    HASHES.write_text(json.dumps(hashes, indent=1) + "\n")


if __name__ == "__main__":
    main()
