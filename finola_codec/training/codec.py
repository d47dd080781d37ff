"""The training of a codec: its objective, how a run starts, and what comes out of one."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from finola_codec.errors import ConfigError, ModelError
from finola_codec.nn.model import Codec, build
from finola_codec.nn.parts import train_decoder_only, train_tuned_only
from finola_codec.nn.tile import TileEncoder
from finola_codec.profiles import from_dict
from finola_codec.runtime.manifest import DEFAULT_TUNE
from finola_codec.runtime.model import load_model
from finola_codec.training import loop
from finola_codec.training.coder import code_crops
from finola_codec.training.config import MS_SSIM_CROP, TrainConfig
from finola_codec.training.data import Pictures, generators
from finola_codec.training.files import COUNT, METRIC_OF, SIDE, Checked, HeldOut
from finola_codec.training.logs import Row
from finola_codec.training.loop import Measured, Trainer, load_checkpoint
from finola_codec.training.losses import RateDistortion, rate_distortion

VALIDATION_POSITIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
KLT_CROPS = 400
PHOTOGRAPHS = "photographs"


class Compression:
    """Rate and distortion over the whole quality range: the position in it is what is drawn for each crop."""

    columns: tuple[str, ...] = ("bpp", "psnr")
    labels: tuple[str, ...] = ("kind", "position")

    def __init__(self, config: TrainConfig, pictures: Pictures) -> None:
        self.config, self.pictures = config, pictures
        self._coder = load_model(config.origin) if config.part == "decoder" else None

    def measure(self, model: nn.Module, average: nn.Module, x: Tensor, drawn: Tensor) -> Measured:
        """Code crops (N, 3, H, W) at quality positions ``drawn`` (N,)."""
        rd = self._coded(model, x, drawn)
        return Measured(rd.objective, {"loss": rd.loss, "bpp": rd.bpp.mean(), "psnr": rd.psnr.mean()})

    def validate(self, model: nn.Module) -> list[Row]:
        """Return a row of estimated bpp, PSNR and loss for each kind of picture and quality."""
        kinds = {PHOTOGRAPHS: list(self.pictures.held_out_crops(self.config.crop).split(self.config.batch))}
        kinds |= self.pictures.held_out_graphics_crops(self.config.profile.block)
        if self.config.tune != DEFAULT_TUNE:  # MS-SSIM cannot measure small pictures
            kinds = {kind: [x for x in batches if min(x.shape[2:]) >= MS_SSIM_CROP] for kind, batches in kinds.items()}
        device = next(model.parameters()).device
        rows: list[Row] = []
        for kind, batches in kinds.items():
            for value in VALIDATION_POSITIONS if batches else ():
                parts = [self._coded(model, x.to(device), torch.full((len(x),), value).to(device)) for x in batches]
                loss, bpp, psnr = (
                    float(torch.cat([getattr(rd, name) for rd in parts]).mean()) for name in ("cost", "bpp", "psnr")
                )
                rows.append({"kind": kind, "position": value, "loss": loss, "bpp": bpp, "psnr": psnr})
        return rows

    def _coded(self, model: nn.Module, x: Tensor, position: Tensor) -> RateDistortion:
        coded = None
        if self._coder:
            coded, position = code_crops(self._coder, x, position)
        return rate_distortion(model(x, position, coded), x, position, self.config.profile, self.config.tune)

    def check_files(self, model: nn.Module) -> Checked | None:
        """Encode and decode held-out pictures, where there are any."""
        assert isinstance(model, Codec)
        return self._held_out_files.check(model) if self._held_out_files.pictures else None

    @cached_property
    def _held_out_files(self) -> HeldOut:
        """What the run is measured by in real files; those of the other codecs are written once."""
        try:
            origin = load_model(self.config.origin) if self.config.origin else None
        except ModelError:  # it was moved or deleted since
            origin = None
        return HeldOut(self.pictures.held_out_samples(COUNT, SIDE), origin, metric=METRIC_OF[self.config.tune])


def start(
    config: TrainConfig,
    run: Path,
    pictures: Pictures,
    resume: bool = False,
    init: Codec | None = None,
    fabric: Fabric | None = None,
    trunk: nn.Module | None = None,
) -> Trainer:
    """Make a trainer in the folder ``run``: new, from the weights of ``init`` if given, or from its checkpoint.

    A profile may have more residual blocks than ``init``: they start as the identity. ``trunk`` is a Mobile-Former
    whose weights a new run's encoder starts from. Raises :class:`ConfigError` as :func:`loop.start` does, and where
    the profile is not that of ``init``, has no place for ``trunk``, or nothing to tune for another metric, and where a
    run that trains a part of a model has none.
    """
    if config.tune != DEFAULT_TUNE and init is None and not resume:
        raise ConfigError(f"tune={config.tune} trains a part of a model's encoder: name the model with --from")
    if config.part == "decoder" and not config.origin:
        raise ConfigError("part=decoder trains the decoder of a model: name the model with --from")

    def built() -> Codec:
        codec = build(config.profile)
        if not resume:
            if init is None:
                codec.start_from(pictures.batch(generators(KLT_CROPS, config.seed), config.crop).cpu())
            else:
                _start_at(codec, init)
            if trunk is not None:
                _start_trunk(codec, trunk)
        if config.tune != DEFAULT_TUNE:
            train_tuned_only(codec)
        elif config.part == "decoder":
            train_decoder_only(codec)
        return codec

    return loop.start(config, run, pictures, Compression(config, pictures), built, resume, fabric)


def _start_at(codec: Codec, init: Codec) -> None:
    given, wanted = init.state_dict(), codec.state_dict()
    if any(name not in wanted or wanted[name].shape != value.shape for name, value in given.items()):
        raise ConfigError("the profile has other sizes than the model that the run starts from")
    codec.load_state_dict(wanted | given)


def _start_trunk(codec: Codec, trunk: nn.Module) -> None:
    if not isinstance(codec.encoder, TileEncoder) or type(codec.encoder.trunk) is not type(trunk):
        raise ConfigError(f"profile {codec.profile.name}: its encoder is no {type(trunk).__name__} to start from one")
    try:
        codec.encoder.trunk.load_state_dict(trunk.state_dict())
    except RuntimeError as error:  # torch names every parameter of another shape
        raise ConfigError(f"profile {codec.profile.name}: its encoder has other sizes than the one given") from error


def load_trained(run: Path) -> tuple[Codec, int]:
    """Return the averaged weights of a run, and the number of steps behind them."""
    state = load_checkpoint(run)
    codec = build(from_dict(state["config"]["profile"]))
    codec.load_state_dict(state["ema"])
    return codec.eval(), state["step"]
