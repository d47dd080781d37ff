"""The methods by name, and the runs that they leave."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from finola_codec.errors import ConfigError
from finola_codec.pretraining.config import PretrainConfig
from finola_codec.pretraining.fast_itpn import FastITPN
from finola_codec.pretraining.finola import PlainFinola
from finola_codec.pretraining.itpn import ITPN
from finola_codec.pretraining.masked_finola_b import MaskedFinolaB
from finola_codec.pretraining.masked_finola_e import MaskedFinolaE
from finola_codec.pretraining.method import Method, MobileFormerMethod
from finola_codec.pretraining.objective import Reconstruction
from finola_codec.pretraining.qb_heat import QBHeat
from finola_codec.training import loop
from finola_codec.training.config import saved
from finola_codec.training.data import Pictures

METHODS: dict[str, type[Method]] = {
    "finola": PlainFinola,
    "masked-finola-e": MaskedFinolaE,
    "masked-finola-b": MaskedFinolaB,
    "qb-heat": QBHeat,
    "itpn": ITPN,
    "fast-itpn": FastITPN,
}


def build(config: PretrainConfig) -> Method:
    """Return the untrained method that a configuration names. Raises :class:`ConfigError`."""
    if config.method not in METHODS:
        raise ConfigError(f"there is no method {config.method!r}; there are {', '.join(METHODS)}")
    return METHODS[config.method](config)


def start(config: PretrainConfig, run: Path, pictures: Pictures, resume: bool = False) -> loop.Trainer:
    """Make a trainer in the folder ``run``. Raises :class:`ConfigError` as :func:`loop.start` does."""
    return loop.start(config, run, pictures, Reconstruction(config, pictures), lambda: build(config), resume)


def load(run: Path) -> tuple[Method, PretrainConfig]:
    """Return the averaged weights of a run and its configuration. Raises :class:`ConfigError` where there is none."""
    config = saved(PretrainConfig, run)
    method = build(config)
    method.load_state_dict(loop.load_checkpoint(run)["ema"])
    return method.eval(), config


def load_encoder(run: Path) -> nn.Module:
    """Return the Mobile-Former of a run, from which finola-256 can start. Raises :class:`ConfigError`."""
    method, config = load(run)
    if not isinstance(method, MobileFormerMethod):
        raise ConfigError(f"{run}: the encoder of {config.method} is no Mobile-Former")
    return method.encoder
