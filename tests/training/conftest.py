"""What the tests of training share: pictures, and a configuration that takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from finola_codec.profiles import FINOLA_TINY
from finola_codec.training.cache import build_cache
from finola_codec.training.config import TrainConfig
from finola_codec.training.data import Pictures

CONFIG = TrainConfig(FINOLA_TINY, steps=6, cooldown=0.4, batch=2, crop=64, held_out=1, validate_every=3)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "deep").mkdir()
    for i in range(12):
        Image.fromarray(skimage.data.astronaut()[i * 30 :, i * 20 :]).save(folder / "deep" / f"{i}.png")
    Image.new("RGB", (20, 20)).save(folder / "small.png")
    (folder / "broken.jpg").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="session")
def pictures(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    cache = tmp_path_factory.mktemp("cache")
    build_cache(data, cache, CONFIG.crop)
    return Pictures.open(cache, CONFIG.held_out)
