"""Configuration of a training run."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from finola_codec.errors import ConfigError
from finola_codec.profiles import FINOLA_BASE, PROFILES, Profile, from_dict

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIG = "config.json"  # in the run's folder


@dataclass(frozen=True)
class TrainConfig:
    """What a run does; everything but where data and results lie."""

    profile: Profile = field(default=FINOLA_BASE)
    steps: int = 100_000
    cooldown: int = 20_000  # the learning rate falls to zero over the last of the steps
    warmup: int = 200
    lr: float = 1e-3
    batch: int = 8
    crop: int = 256
    reduce: float = 1.0  # largest factor by which crops are reduced; 2.5 gives compressed pictures fine detail again
    graphics_share: float = 0.25  # share of the crops that show graphics, where there are any: see Pictures
    clip: float = 1.0  # norm of the gradient
    skip_above: float = 4.0  # a loss that many times the running median is skipped
    ema: float = 0.999
    seed: int = 0
    held_out: int = 40
    validate_every: int = 1000
    checkpoint_minutes: float = 5.0
    threads: int = 0  # 0: as many as torch chooses

    def rate(self, step: int) -> float:
        """Learning rate of a step: warm-up, plateau, then linearly to zero."""
        left = (self.steps - step) / max(1, self.cooldown)
        return self.lr * min(1.0, (step + 1) / max(1, self.warmup), left)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)


def load_config(path: Path | None, resumed: Path | None = None) -> TrainConfig:
    """Read a TOML file of the fields of :class:`TrainConfig`; ``profile`` is a name or a table.

    A profile table names the profile it starts from as ``base`` and overrides its fields. Fields that the
    file does not name have their value in the run ``resumed``, or else their default.
    """
    config = _saved(resumed) if resumed else TrainConfig()
    if path is None:
        return config
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    known = {f.name for f in fields(TrainConfig)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(f"{path}: unknown fields {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    if "profile" in values:
        values["profile"] = _profile(values["profile"], path)
    return replace(config, **values)


def _saved(run: Path) -> TrainConfig:
    try:
        values = json.loads((run / CONFIG).read_text())
        return TrainConfig(**values | {"profile": from_dict(values["profile"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{run}: holds no run to continue: {error}") from error


def _profile(value: str | dict[str, Any], path: Path) -> Profile:
    table = {"base": value} if isinstance(value, str) else dict(value)
    name = table.pop("base", FINOLA_BASE.name)
    if name not in PROFILES:
        raise ConfigError(f"{path}: no profile {name!r}; known are {', '.join(PROFILES)}")
    try:
        return from_dict(PROFILES[name].to_dict() | table)
    except TypeError as error:
        raise ConfigError(f"{path}: profile: {error}") from error
