"""The configuration of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from finola_codec.errors import ConfigError
from finola_codec.profiles import FINOLA_TINY
from finola_codec.training.config import TrainConfig, load_config


def test_learning_rate_warms_up_and_cools_down() -> None:
    config = TrainConfig(steps=100, cooldown=0.2, warmup=0.1, lr=1.0)
    rates = [config.rate(config.progress(step, 0)) for step in (0, 5, 50, 79, 90, 100)]
    assert rates == pytest.approx([0.01, 0.51, 1, 1, 0.5, 0], abs=1e-9)


def test_configuration_files(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('steps = 7\n[profile]\nbase = "finola-tiny"\ndecoder_depth = 3\n')
    config = load_config(path)
    assert (config.steps, config.profile) == (7, replace(FINOLA_TINY, decoder_depth=3))
    for text, message in (
        ("stepz = 3", "unknown fields stepz"),
        ("steps =", r"config\.toml"),
        ('profile = "x"', "'x'"),
        ('steps = "many"', r"config\.toml: steps is 'many', which is not of type int"),
        ("crop = 60", r"config\.toml: crop is 60; it must be a multiple of the block, 16"),
        ("batch = 0", "batch is 0; it must be at least 1"),
        ('tune = "vmaf"', r"config\.toml: tune is 'vmaf', not one of psnr, ssim"),
        ("[profile]\nchannels = 3", "do not add up"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_config(path)


def test_settings_of_the_command_line(tmp_path: Path) -> None:
    config = load_config(settings=["profile=finola-tiny", "batch=4", "lr=1e-4", "profile.decoder_depth=3"])
    assert (config.batch, config.lr, config.profile) == (4, 1e-4, replace(FINOLA_TINY, decoder_depth=3))
    for setting, message in (("batch", "FIELD=VALUE"), ("batch=x", "--set batch=x: batch is 'x'"), ("x=1", "unknown")):
        with pytest.raises(ConfigError, match=message):
            load_config(settings=[setting])
    assert load_config(start_from=FINOLA_TINY).lr < TrainConfig().lr
