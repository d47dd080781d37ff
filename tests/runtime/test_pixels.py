"""Transforming by tiles."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from finola_codec import Model
from finola_codec.runtime import pixels


@pytest.mark.parametrize("tile", [64 * 64, 112 * 150])
def test_tiles_change_nothing(
    either_model: Model, photo: Image.Image, monkeypatch: pytest.MonkeyPatch, tile: int
) -> None:
    picture = np.asarray(photo)
    y = either_model.pixels.analyse(picture, 60)
    z = either_model.pixels.hyper(y, 60)
    payloads = either_model.prior.encode(y.copy(), z, 60)
    whole = either_model.pixels.synthesise(payloads.y, 60, *picture.shape[:2])
    monkeypatch.setattr(pixels, "TILE", tile)
    monkeypatch.setattr(pixels, "HYPER_TILE", 8 * 16)
    y_tiled = either_model.pixels.analyse(picture, 60)
    z_tiled = either_model.pixels.hyper(y, 60)
    assert (y_tiled == y).all()
    assert (z_tiled is None and z is None) or (z_tiled == z).all()
    assert (either_model.pixels.synthesise(payloads.y, 60, *picture.shape[:2]) == whole).all()
    assert either_model.prior.encode(y_tiled, z_tiled, 60).vectors == payloads.vectors
