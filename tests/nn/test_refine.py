"""Refinement by gradient descent."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from finola_codec import Model, decode, encode
from finola_codec.errors import ConfigError
from tests.conftest import psnr


def cost(model: Model, picture: Image.Image, effort: int) -> float:
    """bpp + lambda 255^2 MSE of a whole file."""
    data = encode(picture, 40, model=model, effort=effort)
    mse = 10 ** (-psnr(picture, decode(data, model=model)) / 10)
    return 8 * len(data) / (picture.width * picture.height) + model.lagrangian(40) * 255**2 * mse


def test_effort_lowers_the_cost(either_model: Model, photo: Image.Image) -> None:
    picture = photo.crop((60, 40, 60 + 170, 40 + 130))
    costs = [cost(either_model, picture, effort) for effort in (0, 5, 8)]
    assert costs == sorted(costs, reverse=True)
    assert costs[2] < 0.99 * costs[1]


def test_effort_has_a_range(tiny_model: Model, photo: Image.Image) -> None:
    for effort in (3, 11):
        with pytest.raises(ConfigError, match=f"effort {effort} is none of 0, 1, 5, 7, 8, 9, 10"):
            encode(photo, model=tiny_model, effort=effort)


def test_effort_says_what_it_needs(tiny_model: Model, photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "finola_codec.nn.refine", None)
    with pytest.raises(ConfigError, match=r"finola-codec\[train\]"):
        encode(photo, model=tiny_model, effort=7)
    assert np.asarray(decode(encode(photo, model=tiny_model, effort=5), model=tiny_model)).shape == (300, 451, 3)
