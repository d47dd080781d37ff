"""`pretrain`, `probe`, and `train --encoder`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from click.testing import CliRunner
from PIL import Image

from finola_codec.cli import main
from finola_codec.cli.pretrain import METHODS as OFFERED
from finola_codec.errors import ConfigError
from finola_codec.pretraining import probe as probing
from finola_codec.pretraining.methods import METHODS, build, load_encoder, start
from finola_codec.profiles import FINOLA_TINY, FINOLA_TINY_TILE
from finola_codec.training import codec
from finola_codec.training.config import TrainConfig
from finola_codec.training.data import Pictures
from tests.pretraining.conftest import tiny

SETTINGS = ("batch=2", "crop=64", "held_out=1", "threads=1", "width=8", "depths=[1, 1, 2]", "mobile_former_width=0.05")


def _run(*arguments: str) -> str:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Photographs, and a folder of two classes that colour tells apart."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "photos").mkdir()
    for i in range(10):
        Image.fromarray(skimage.data.astronaut()[i * 30 :, i * 20 :]).save(folder / "photos" / f"{i}.png")
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("test", 5)):
        for number, name in enumerate(("bright", "dark")):
            (folder / "classes" / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 128, (64, 64, 3), dtype=np.uint8) + np.uint8(128 * (1 - number))
                Image.fromarray(pixels).save(folder / "classes" / part / name / f"{i}.png")
    return folder / "photos", folder / "classes"


def test_every_method_is_offered() -> None:
    assert tuple(METHODS) == OFFERED


def test_pretrain_and_probe(folders: tuple[Path, Path], tmp_path: Path) -> None:
    photos, classes = folders
    run = tmp_path / "run"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    command = ["pretrain", str(photos), "--out", str(run), "--method", "itpn", "--steps", "4", *settings]
    _run(*command, "--max-steps", "2")
    _run(*command, "--resume")
    assert torch.load(run / "checkpoint.pt", weights_only=True)["step"] == 4
    told = _run("probe", str(run), str(classes), "--seeds", "2")
    assert told.startswith("itpn: ")
    rows = [line.split(" | ") for line in told.splitlines()[3:]]
    assert [row[0].strip("| ") for row in rows] == ["linear", "tran-1"] * 2
    assert rows[0][3].startswith("100.0 %")  # a mean tells bright from dark
    for name in ("linear", "tran-1"):
        assert Image.open(run / f"confusion-{name}.png").size > (300, 300)
    assert "untrained" not in str(list(run.iterdir()))
    _run("probe", str(run), str(classes), "--seeds", "1", "--untrained")
    assert (run / "confusion-linear-untrained.png").exists()


def test_a_folder_without_classes_is_refused(folders: tuple[Path, Path], pictures: Pictures, tmp_path: Path) -> None:
    start(tiny("finola"), tmp_path / "run", pictures).train(max_steps=1)
    done = CliRunner().invoke(main, ["probe", str(tmp_path / "run"), str(folders[0])])
    assert done.exit_code == 2
    assert f"{folders[0]}: there must be a folder train" in done.output


def test_a_probe_depends_on_its_seed_alone() -> None:
    torch.manual_seed(0)
    labels = np.repeat(np.arange(2), 400)
    features = torch.randn(800, 4, 8) + torch.from_numpy(labels)[:, None, None]
    train, test = probing.Split(features[::2], labels[::2]), probing.Split(features[1::2], labels[1::2])
    first, again = (probing.probe(train, test, 3) for _ in range(2))
    assert [(a.train, a.test) for a in first] == [(a.train, a.test) for a in again]
    assert all(found.test > 0.7 for found in first)


def test_finola_256_starts_from_a_pre_trained_encoder(pictures: Pictures, tmp_path: Path) -> None:
    config = tiny("masked-finola-b", mobile_former_width=FINOLA_TINY_TILE.mobile_former_width)
    start(config, tmp_path / "pre", pictures).train(max_steps=2)
    trunk = load_encoder(tmp_path / "pre")
    profile = FINOLA_TINY_TILE.__class__(**{**vars(FINOLA_TINY_TILE), "encoder": "mobile-former"})
    settings = {"steps": 2, "batch": 2, "crop": 64, "held_out": 0}
    trainer = codec.start(TrainConfig(profile, **settings), tmp_path / "run", pictures, trunk=trunk)
    found = trainer.model.module.encoder.trunk.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in trunk.state_dict().items())
    trainer.train()
    for other, message in ((FINOLA_TINY_TILE, "is no MobileFormer"), (FINOLA_TINY, "is no MobileFormer")):
        with pytest.raises(ConfigError, match=message):
            codec.start(TrainConfig(other, **settings), tmp_path / "other", pictures, trunk=trunk)
    wider = build(tiny("masked-finola-b", mobile_former_width=0.2)).encoder
    with pytest.raises(ConfigError, match="other sizes"):
        codec.start(TrainConfig(profile, **settings), tmp_path / "other", pictures, trunk=wider)
    start(tiny("itpn"), tmp_path / "itpn", pictures).train(max_steps=1)
    with pytest.raises(ConfigError, match="the encoder of itpn is no Mobile-Former"):
        load_encoder(tmp_path / "itpn")


@pytest.mark.slow
def test_the_clothing_data_can_be_read() -> None:
    data = Path(__file__).parents[2].parent / "shared" / "data" / "probe" / "clothing"
    data = Path(os.environ.get("FINOLA_PROBE", data))
    if not data.exists():
        pytest.skip(f"no {data}; name its folder in FINOLA_PROBE")
    names = probing.class_names(data)
    x, labels = probing.read(data / "test", names, 128)
    assert (len(names), len(x), x.shape[1:]) == (10, len(labels), (3, 128, 128))
    assert set(labels) == set(range(10))
