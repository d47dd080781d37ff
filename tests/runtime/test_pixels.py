"""Transforming by tiles."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from finola_codec import Model
from finola_codec.entropy.exact import to_real
from finola_codec.runtime import pixels


@pytest.mark.parametrize("tile", [4, 7])
def test_tiles_change_nothing(
    tiny_model: Model, photo: Image.Image, monkeypatch: pytest.MonkeyPatch, tile: int
) -> None:
    picture = np.asarray(photo)
    y, z = tiny_model.pixels.analyse(picture, 60)
    whole = tiny_model.pixels.synthesise(y, 60, *picture.shape[:2])
    monkeypatch.setattr(pixels, "TILE", tile)
    y_tiled, z_tiled = tiny_model.pixels.analyse(picture, 60)
    np.testing.assert_allclose(y_tiled, y, atol=1e-4)
    np.testing.assert_allclose(z_tiled, z, atol=1e-3)
    assert (tiny_model.pixels.synthesise(y, 60, *picture.shape[:2]) == whole).all()
    coded = [tiny_model.prior.encode(*pair, 60) for pair in ((y, z), (y_tiled, z_tiled))]
    assert (to_real(coded[0].y) == to_real(coded[1].y)).mean() > 0.9999
