"""Transforming by tiles."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from finola_codec import Model
from finola_codec.runtime import pixels


@pytest.mark.parametrize("tile", [4, 7])
def test_tiles_change_nothing(
    tiny_model: Model, photo: Image.Image, monkeypatch: pytest.MonkeyPatch, tile: int
) -> None:
    picture = np.asarray(photo)
    y, z = tiny_model.pixels.analyse(picture, 60)
    payloads = tiny_model.prior.encode(y, z, 60)
    whole = tiny_model.pixels.synthesise(payloads.y, 60, *picture.shape[:2])
    monkeypatch.setattr(pixels, "TILE", tile)
    y_tiled, z_tiled = tiny_model.pixels.analyse(picture, 60)
    assert (y_tiled == y).all()
    assert (z_tiled == z).all()
    assert (tiny_model.pixels.synthesise(payloads.y, 60, *picture.shape[:2]) == whole).all()
    assert tiny_model.prior.encode(y_tiled, z_tiled, 60).vectors == payloads.vectors
