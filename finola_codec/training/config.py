"""Configuration of a run: what every run has, and what one has that trains a codec."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from finola_codec.errors import ConfigError
from finola_codec.fields import build
from finola_codec.profiles import FINOLA_BASE, PROFILES, Profile, from_dict
from finola_codec.runtime.manifest import DEFAULT_TUNE, Tune

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIG = "config.json"  # in the run's folder
MS_SSIM_CROP = 176  # the five scales of MS-SSIM need more than 160 pixels a side


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What any run of the training loop does; everything but where data and results lie.

    A run lasts for ``steps``, or for ``minutes`` of training if they are given. Warm-up and cooldown are shares of it,
    so the schedule fits either. Raises :class:`ConfigError` for values that make no sense.
    """

    steps: int = 100_000
    minutes: float = 0.0  # 0: the run lasts for ``steps``
    warmup: float = 0.01  # share of the run over which the learning rate rises
    cooldown: float = 0.2  # share of the run over which the learning rate falls to zero
    lr: float = 1e-3
    batch: int = 8  # crops of a step, on all devices together
    crop: int = 256  # pixels a side
    reduce: float = 1.0  # largest factor by which crops are reduced; 2.5 gives compressed pictures fine detail again
    graphics_share: float = 0.25  # share of the crops that show graphics, if there are any (see Pictures)
    clip: float = 1.0  # the largest norm of the gradient
    skip_above: float = 4.0  # a step is skipped whose objective is that many times the running median
    ema: float = 0.999
    seed: int = 0
    held_out: int = 40
    validate_every: int = 1000  # steps
    checkpoint_minutes: float = 5.0
    threads: int = 0  # 0: as many as torch chooses

    architecture: ClassVar[tuple[str, ...]] = ()  # fields that a resumed run cannot change

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "crop", "validate_every"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in ("minutes", "held_out", "checkpoint_minutes", "threads", "seed"):
            self._check(name, getattr(self, name) >= 0, "at least 0")
        for name in ("lr", "clip", "skip_above"):
            self._check(name, getattr(self, name) > 0, "more than 0")
        for name in ("warmup", "cooldown", "graphics_share", "ema"):
            self._check(name, 0 <= getattr(self, name) <= 1, "within 0..1")
        self._check("reduce", self.reduce >= 1, "at least 1")

    def _check(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise ConfigError(f"{name} is {getattr(self, name)}; it must be {wanted}")

    def progress(self, step: int, seconds: float) -> float:
        """Return how much of the run has passed, from 0 to 1, after ``step`` steps and ``seconds`` of training."""
        return seconds / (60 * self.minutes) if self.minutes else step / self.steps

    def rate(self, progress: float) -> float:
        """Learning rate where ``progress`` of the run has passed: warm-up, plateau, then linearly to zero."""
        rising = (progress + 1e-3) / self.warmup if self.warmup else 1.0
        falling = (1 - progress) / self.cooldown if self.cooldown else 1.0
        return self.lr * max(0.0, min(1.0, rising, falling))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return asdict(self)


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """What a run does that trains a codec."""

    profile: Profile = field(default=FINOLA_BASE)
    origin: str = ""  # the model that the run starts from and is compared with, by name or folder
    tune: Tune = "psnr"  # with another metric, only that metric's part of the encoder is trained
    part: Literal["all", "decoder"] = "all"  # the decoder alone is trained on crops as ``origin`` really codes them

    architecture: ClassVar[tuple[str, ...]] = ("profile", "tune", "part")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("crop", self.crop % self.profile.block == 0, f"a multiple of the block, {self.profile.block}")
        if self.tune != DEFAULT_TUNE:
            self._check("part", self.part == "all", "all where tune is not psnr")
            self._check("crop", self.crop >= MS_SSIM_CROP, f"at least {MS_SSIM_CROP} for MS-SSIM")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return super().to_dict() | {"profile": self.profile.to_dict()}


C = TypeVar("C", bound=RunConfig)


# Defaults of a run that starts from trained weights.
CONTINUED_LR, CONTINUED_COOLDOWN = 4e-4, 0.8


def load_config(
    path: Path | None = None,
    settings: Sequence[str] = (),
    *,
    resumed: Path | None = None,
    start_from: Profile | None = None,
    origin: str = "",
) -> TrainConfig:
    """Return a run's configuration: defaults, then the TOML file ``path``, then ``settings`` of the form FIELD=VALUE.

    What neither names has its value in the run that is ``resumed``, or else its default; a run that starts from the
    model ``origin`` has its profile, ``start_from``, and a lower learning rate. A profile in the file is a name or a
    table, which names the profile it starts from as ``base`` and overrides its fields; on the command line
    ``profile.FIELD=VALUE`` overrides one. Raises :class:`ConfigError`, which names the file or setting that is wrong.
    """
    base = saved(TrainConfig, resumed) if resumed else TrainConfig()
    if start_from:
        base = replace(base, profile=start_from, origin=origin, lr=CONTINUED_LR, cooldown=CONTINUED_COOLDOWN)
    if path is not None:
        base = _updated(base, _toml(path), str(path))
    return with_settings(base, settings)


def with_settings(base: C, settings: Sequence[str]) -> C:
    """Return ``base`` with fields as the command line sets them. Raises :class:`ConfigError`."""
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator:
            raise ConfigError(f"--set {setting}: it must have the form FIELD=VALUE")
        head, dot, tail = name.strip().partition(".")
        parsed = _value(value.strip())
        base = _updated(base, {head: {tail: parsed} if dot else parsed}, f"--set {setting}")
    return base


def _updated(base: C, values: Mapping[str, Any], what: str) -> C:
    known = {f.name for f in fields(base)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(f"{what}: unknown fields {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    current = {name: getattr(base, name) for name in known} | dict(values)
    if isinstance(base, TrainConfig):
        current["profile"] = _profile(current["profile"], base.profile, what)
    try:
        return build(type(base), current, what)
    except ConfigError as error:
        raise error if str(error).startswith(what) else ConfigError(f"{what}: {error}") from error


def _profile(value: Any, current: Profile, what: str) -> Profile:
    if isinstance(value, Profile):
        return value
    table = dict(value) if isinstance(value, Mapping) else {"base": value}
    name = table.pop("base", None)
    if name is not None and name not in PROFILES:
        raise ConfigError(f"{what}: no profile {name!r}; known are {', '.join(PROFILES)}")
    try:
        return from_dict((PROFILES[name] if name else current).to_dict() | table)
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from error


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _value(text: str) -> Any:
    """Return a value as TOML has it; what is none is taken for a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def saved(kind: type[C], run: Path) -> C:
    """Return the configuration of a run. Raises :class:`ConfigError` where there is no run of the kind."""
    try:
        values = json.loads((run / CONFIG).read_text())
        if kind is TrainConfig:
            values["profile"] = from_dict(values["profile"])
        known = {f.name for f in fields(kind)}
        return build(kind, {name: value for name, value in values.items() if name in known}, str(run / CONFIG))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{run}: holds no run to continue: {error}") from error
