"""Training: exact resumption, caches, configuration, and the commands around them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from click.testing import CliRunner
from PIL import Image

from finola_codec import decode, encode, load_model
from finola_codec.cli import main
from finola_codec.errors import ConfigError
from finola_codec.profiles import FINOLA_TINY
from finola_codec.training.config import TrainConfig, load_config
from finola_codec.training.data import Pictures, build_cache
from finola_codec.training.loop import start

CONFIG = TrainConfig(FINOLA_TINY, steps=6, cooldown=2, batch=2, crop=64, held_out=1, validate_every=3, warmup=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "deep").mkdir()
    for i in range(12):
        Image.fromarray(skimage.data.astronaut()[i * 30 :, i * 20 :]).save(folder / "deep" / f"{i}.png")
    Image.new("RGB", (20, 20)).save(folder / "small.png")
    (folder / "broken.jpg").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def pictures(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    cache = tmp_path_factory.mktemp("cache")
    build_cache(data, cache, CONFIG.crop)
    return Pictures.open(cache, CONFIG.held_out)


def test_cache_holds_the_pictures(pictures: Pictures) -> None:
    assert (len(pictures.train), len(pictures.held_out)) == (11, 1)
    assert any((p == skimage.data.astronaut()[30:, 20:]).all() for p in pictures.train if p.shape == (482, 492, 3))


def test_crops_come_from_the_generator_alone(pictures: Pictures) -> None:
    first, again, other = (pictures.batch(3, 64, np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.shape == (3, 3, 64, 64)
    assert -0.5 <= first.min() < first.max() <= 0.5
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_crops_are_reduced_up_to_the_factor_and_the_picture() -> None:
    ramp = np.broadcast_to(np.arange(160, dtype=np.uint8)[None, :, None], (160, 160, 3))

    def slopes(reduce: float, size: int) -> list[float]:
        crops = Pictures([ramp], []).batch(24, size, np.random.default_rng(1), reduce) * 255
        return [max(abs(c[0, 8, 16] - c[0, 8, 8]), abs(c[0, 16, 8] - c[0, 8, 8])).item() / 8 for c in crops]

    assert slopes(1.0, 64) == pytest.approx([1] * 24)
    reduced = slopes(2.0, 64)
    assert min(reduced) == pytest.approx(1)
    assert 1.5 < max(reduced) <= 2.1
    assert max(slopes(2.0, 128)) <= 160 / 128 * 1.1


def test_a_resumed_run_equals_one_that_was_not_interrupted(pictures: Pictures, tmp_path: Path) -> None:
    whole = start(CONFIG, tmp_path / "whole", pictures, resume=False)
    whole.train()
    start(CONFIG, tmp_path / "parts", pictures, resume=False).train(max_steps=2)
    resumed = start(CONFIG, tmp_path / "parts", pictures, resume=True)
    assert resumed.step == 2
    resumed.train()
    for a, b in ((whole.codec.module, resumed.codec.module), (whole.ema, resumed.ema)):
        for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            assert torch.equal(x, y), name
    rows = list(csv.DictReader((tmp_path / "parts" / "log.csv").open()))
    assert [int(r["step"]) for r in rows] == [1, 2, 3, 4, 5, 6]
    assert {"bpp", "psnr", "loss"} < set(rows[0])
    assert list((tmp_path / "parts" / "tensorboard").iterdir())


def test_a_run_is_not_overwritten(pictures: Pictures, tmp_path: Path) -> None:
    start(CONFIG, tmp_path / "run", pictures, resume=False).train(max_steps=1)
    with pytest.raises(ConfigError, match="--resume"):
        start(CONFIG, tmp_path / "run", pictures, resume=False)
    with pytest.raises(ConfigError, match="no checkpoint"):
        start(CONFIG, tmp_path / "other", pictures, resume=True)


@pytest.mark.slow
def test_training_lowers_the_loss(pictures: Pictures, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=300, cooldown=100, warmup=10, batch=4, lr=3e-3, ema=0.9)
    trainer = start(config, tmp_path / "run", pictures, resume=False)
    before = trainer.validate()[0]["loss"]  # at a low quality, where the tiny codec's few channels suffice
    trainer.train()
    assert trainer.validate()[0]["loss"] < 0.97 * before


def test_outliers_are_skipped(pictures: Pictures, tmp_path: Path) -> None:
    trainer = start(replace(CONFIG, steps=50), tmp_path / "run", pictures, resume=False)
    trainer.losses.extend([1e-6] * 30)
    before = [p.clone() for p in trainer.codec.parameters()]
    trainer.train(max_steps=1)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.codec.parameters(), strict=True))


def test_learning_rate_warms_up_and_cools_down() -> None:
    config = TrainConfig(steps=100, cooldown=20, warmup=10, lr=1.0)
    assert [config.rate(s) for s in (0, 4, 50, 79, 90, 99)] == pytest.approx([0.1, 0.5, 1, 1, 0.5, 0.05])


def test_configuration_files(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('steps = 7\n[profile]\nbase = "finola-tiny"\ndecoder_depth = 3\n')
    config = load_config(path)
    assert (config.steps, config.profile) == (7, replace(FINOLA_TINY, decoder_depth=3))
    for text, message in (("stepz = 3", "unknown fields stepz"), ("steps =", "config.toml"), ('profile = "x"', "'x'")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_config(path)


@pytest.mark.slow
def test_train_and_export_commands(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('profile = "finola-tiny"\nsteps = 3\nbatch = 2\ncrop = 64\nheld_out = 1\nvalidate_every = 2\n')
    run = tmp_path / "run"
    train = ["train", str(data), "--out", str(run), "--config", str(config)]
    for extra in (["--max-steps", "2"], ["--resume", "--max-minutes", "1"]):
        done = CliRunner().invoke(main, train + extra)
        assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, ["export", str(run), str(tmp_path / "my-model")])
    assert done.exit_code == 0, done.output
    model = load_model(tmp_path / "my-model")
    assert model.name == "my-model"
    assert "3 training steps" in (tmp_path / "my-model" / "MODEL_CARD.md").read_text()
    picture = Image.fromarray(skimage.data.coffee()[:64, :80])
    assert decode(encode(picture, model=model), model=model).size == (80, 64)
