"""The loop: exact resumption, outliers, schedules."""

from __future__ import annotations

import csv
import itertools
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from finola_codec.errors import ConfigError, TrainingError
from finola_codec.profiles import FINOLA_TINY
from finola_codec.training import loop
from finola_codec.training.codec import start
from finola_codec.training.config import load_config
from finola_codec.training.data import Pictures
from tests.training.conftest import CONFIG


def test_a_resumed_run_equals_one_that_was_not_interrupted(pictures: Pictures, tmp_path: Path) -> None:
    whole = start(CONFIG, tmp_path / "whole", pictures, resume=False)
    whole.train()
    start(CONFIG, tmp_path / "parts", pictures, resume=False).train(max_steps=2)
    resumed = start(CONFIG, tmp_path / "parts", pictures, resume=True)
    assert resumed.step == 2
    resumed.train()
    for a, b in ((whole.model.module, resumed.model.module), (whole.ema, resumed.ema)):
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


def test_a_resumed_run_keeps_its_profile_and_its_files(pictures: Pictures, tmp_path: Path) -> None:
    start(CONFIG, tmp_path / "run", pictures).train(max_steps=1)
    before = (tmp_path / "run" / "config.json").read_text()
    with pytest.raises(ConfigError, match="another profile"):
        start(replace(CONFIG, profile=replace(FINOLA_TINY, decoder_depth=2)), tmp_path / "run", pictures, resume=True)
    assert (tmp_path / "run" / "config.json").read_text() == before
    assert load_config(resumed=tmp_path / "run") == CONFIG


def test_outliers_are_skipped(pictures: Pictures, tmp_path: Path) -> None:
    trainer = start(replace(CONFIG, steps=50), tmp_path / "run", pictures, resume=False)
    trainer.objectives.extend([1e-6] * 30)
    before = [p.clone() for p in trainer.model.parameters()]
    trainer.train(max_steps=1)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


def test_a_run_that_has_diverged_ends(pictures: Pictures, tmp_path: Path) -> None:
    trainer = start(replace(CONFIG, steps=500), tmp_path / "run", pictures)
    with torch.no_grad():
        trainer.model.module.decoder.head.bias.fill_(torch.nan)
    with pytest.raises(TrainingError, match="25 steps in a row had to be skipped"):
        trainer.train()
    assert trainer.step == 25


def test_the_schedule_fits_the_minutes(pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count()
    monkeypatch.setattr(loop, "time", Mock(perf_counter=lambda: float(next(seconds)), monotonic=time.monotonic))
    config = replace(CONFIG, minutes=0.05, cooldown=0.9, warmup=0.0)
    trainer = start(config, tmp_path / "run", pictures)
    trainer.train()
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert trainer.progress == 1
    assert trainer.seconds == 3  # of one second a step, as the clock here has it
    assert len(rows) == 4  # which count from the next step on
    assert float(rows[-1]["lr"]) < 0.5 * float(rows[0]["lr"])
