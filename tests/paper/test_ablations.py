"""The paper's ablations run, and differ in what they vary."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image

from finola_codec import Model
from finola_codec.errors import ConfigError
from finola_codec.evaluation.pictures import find
from finola_codec.paper import ablations as paper
from finola_codec.paper import table4 as table
from finola_codec.parallel import Engine
from finola_codec.training.data import Pictures


def test_every_row_trains_a_little() -> None:
    photos = [skimage.data.astronaut(), skimage.data.coffee()[:, :400], skimage.data.cat()]
    pictures = Pictures(photos, photos[:1])
    rows = [replace(row, channels=min(row.channels, 256)) for row in paper.TABLE_3] + [
        paper.Row("norm+linear", 64, True)
    ]
    found = list(paper.run(tuple(rows), pictures, steps=4))
    assert [m.row for m in found] == rows
    assert all(4 < m.psnr < 30 for m in found if m.row.growth != "linear")


def test_a_run_that_diverged_has_no_psnr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "LR", 1e30)
    photo = skimage.data.astronaut()
    (found,) = paper.run((paper.Row("linear"),), Pictures([photo], [photo]), steps=4)
    assert math.isnan(found.psnr)


def test_shifts_hand_every_position_its_slot() -> None:
    model = paper.Autoencoder(paper.Row("linear", shifts=True))
    z = torch.randn(2, 256)
    torch.testing.assert_close(model._grow(z)[..., 7 * 16 + 7].flatten(1), z)


@pytest.mark.slow
def test_table_4_measures_real_files(tiny_tile_model: Model, tiny_model: Model, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in ("astronaut", "coffee"):
        Image.fromarray(getattr(skimage.data, name)()[:320, :384]).save(tmp_path / "pictures" / f"{name}.png")
    pictures = find(str(tmp_path / "pictures"))
    found = table.table4("kodak", pictures, str(tiny_tile_model.folder), tmp_path / "out", Engine())
    assert found.bpp <= table.BPP
    assert 15 < found.psnr < 40
    assert found.fixed_bpp > found.bpp
    assert 0 < found.saved < 100
    with pytest.raises(ConfigError, match="not a model of one tile"):
        table.table4("kodak", pictures, str(tiny_model.folder), tmp_path / "other", Engine())
