"""Transforming by windows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import finola_codec
from finola_codec import Model
from finola_codec.nn.blocks import Bottleneck
from finola_codec.nn.export import export
from finola_codec.profiles import FINOLA_TINY
from finola_codec.runtime import transforms
from tests.conftest import untrained


@pytest.mark.parametrize("size", [64 * 64, 200 * 150])
def test_windows_change_nothing(
    either_model: Model, photo: Image.Image, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    picture = np.asarray(photo)
    y = either_model.transforms.analyse(picture, 60)
    z = either_model.transforms.hyper(y, 60)
    payloads = either_model.prior.encode(y.copy(), z, 60)
    whole = either_model.transforms.synthesise(payloads.y, 60, *picture.shape[:2])
    monkeypatch.setattr(transforms, "WINDOW", size)
    monkeypatch.setattr(transforms, "GRID_WINDOW", 8 * 16)
    y_parts = either_model.transforms.analyse(picture, 60)
    z_parts = either_model.transforms.hyper(y, 60)
    assert (y_parts == y).all()
    assert (z_parts is None and z is None) or (z_parts == z).all()
    assert (either_model.transforms.synthesise(payloads.y, 60, *picture.shape[:2]) == whole).all()
    assert either_model.prior.encode(y_parts, z_parts, 60).vectors == payloads.vectors


@pytest.mark.parametrize(
    "change",
    [{"encoder_depths": (3, 3, 3)}, {"stride": 8}, {"context_kernel": 5}, {"refine_depth": 5, "decoder_depth": 4}],
)
def test_any_profile_is_transformed_by_windows_that_see_enough(
    change: dict, crops: torch.Tensor, photo: Image.Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    codec = untrained(replace(FINOLA_TINY, **change), crops)
    for layer in codec.modules():
        if isinstance(layer, Bottleneck):  # what is far away should matter
            layer.mix.weight.data *= 20
    model = export(codec, tmp_path / "model", "model", "A model for tests.")
    photo = photo.crop((100, 60, 290, 160))
    data = finola_codec.encode(photo, 60, model=model)
    picture = np.asarray(finola_codec.decode(data, model=model))
    monkeypatch.setattr(transforms, "WINDOW", 64 * 64)
    monkeypatch.setattr(transforms, "GRID_WINDOW", 6 * 9)
    assert finola_codec.encode(photo, 60, model=model) == data
    assert (np.asarray(finola_codec.decode(data, model=model)) == picture).all()
