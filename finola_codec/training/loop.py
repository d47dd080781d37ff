"""The training loop: resumable exactly, on one device or many."""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections import deque
from copy import deepcopy
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor

from finola_codec.errors import ConfigError, ModelError, TrainingError
from finola_codec.nn.model import Codec, build
from finola_codec.profiles import from_dict
from finola_codec.runtime.model import load_model
from finola_codec.training.config import CONFIG, TrainConfig
from finola_codec.training.data import Pictures, generators
from finola_codec.training.files import COUNT, SIDE, HeldOut
from finola_codec.training.interrupt import interruption
from finola_codec.training.logs import logs
from finola_codec.training.losses import rate_distortion
from finola_codec.training.optim import optimisers

CHECKPOINT = "checkpoint.pt"
VALIDATION_POSITIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
KLT_CROPS = 400
PHOTOGRAPHS = "photographs"
NOISE = 1  # makes the generator of the quantization noise another than those of crops
MAX_SKIPPED = 25  # the run ends when this many steps in a row were skipped
VERSIONS = ("torch", "lightning", "numpy")  # packages whose versions are saved beside the configuration


class _Agreed(NamedTuple):
    """What all processes of a run know of a step: means over them."""

    objective: float  # infinite where that of any process is not finite
    loss: float
    bpp: float
    psnr: float
    interrupted: bool
    seconds: float  # how long training has taken so far


class Trainer:
    """One run in one folder.

    Every step draws the noise of quantization from (seed, step, rank) and each of its crops from (seed, step, number
    of the crop) alone. So a run that was interrupted and resumed gives the same weights as one that was not, and
    several processes together see the crops that one alone would see.
    """

    def __init__(self, config: TrainConfig, run: Path, pictures: Pictures, fabric: Fabric, codec: Codec) -> None:
        self.config, self.run, self.pictures, self.fabric = config, run, pictures, fabric
        if config.batch % fabric.world_size:
            raise ConfigError(f"batch is {config.batch}, which {fabric.world_size} processes cannot share evenly")
        if config.threads:
            torch.set_num_threads(config.threads)
        codec = codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = deepcopy(codec).requires_grad_(False).eval().to(fabric.device)
        self.codec, *self.optimisers = fabric.setup(codec, *optimisers(codec, config.lr))
        self.full_rates = [group["lr"] for group in self._groups()]
        self.step = 0
        self.seconds = 0.0  # of training, as all processes agreed after the last step
        self._own_seconds = 0.0
        self.skipped = 0  # steps in a row
        self.objectives: deque[float] = deque(maxlen=100)

    def train(self, max_steps: int | None = None, max_minutes: float | None = None) -> int | None:
        """Train to the end of the run, or until ``max_steps`` more steps or ``max_minutes`` have passed.

        SIGTERM and Ctrl-C end it after the step at work, and their number is returned. The run is saved in any case.
        Raises :class:`TrainingError` where the loss stays beyond all bounds.
        """
        last = math.inf if max_steps is None else self.step + max_steps
        until = math.inf if max_minutes is None else self.seconds + 60 * max_minutes
        saved = time.monotonic()
        with logs(self.run, self.fabric.is_global_zero) as log, interruption() as noted:
            agreed: _Agreed | None = None
            while self.progress < 1 and self.step < last and self.seconds < until:
                row, agreed = self._train_step(noted.signal is not None)
                log.step(row, self.progress, self._seconds_left())
                if row["skipped"]:
                    log.say(f"step {self.step}: skipped, because its objective was {agreed.objective:.4g}")
                if self.skipped >= MAX_SKIPPED:
                    self.save()
                    raise TrainingError(
                        f"{self.run}: {self.skipped} steps in a row had to be skipped; the run has diverged. "
                        "Start again from an earlier checkpoint, with a lower learning rate (--set lr=...)"
                    )
                if self.step % self.config.validate_every == 0 and self.fabric.is_global_zero:
                    log.validation(self.step, self.validate())
                    if self._held_out_files.pictures:
                        log.real_files(self.step, self._held_out_files.check(self.ema))
                if time.monotonic() - saved > self.config.checkpoint_minutes * 60:
                    self.save()
                    saved = time.monotonic()
                if agreed.interrupted:
                    break
        self.save()
        return noted.signal

    @cached_property
    def _held_out_files(self) -> HeldOut:
        """What the run is measured by in real files; those of the other codecs are written once."""
        try:
            origin = load_model(self.config.origin) if self.config.origin else None
        except ModelError:  # it was moved or deleted since
            origin = None
        return HeldOut(self.pictures.held_out_samples(COUNT, SIDE), origin)

    @property
    def progress(self) -> float:
        """How much of the run has passed, from 0 to 1."""
        return min(1.0, self.config.progress(self.step, self.seconds))

    def _seconds_left(self) -> float:
        return self.seconds / self.progress * (1 - self.progress) if self.progress else math.inf

    def _train_step(self, interrupted: bool) -> tuple[dict[str, float], _Agreed]:
        config, began = self.config, time.perf_counter()
        rank, world = self.fabric.global_rank, self.fabric.world_size
        rngs = generators(config.batch, config.seed, self.step)[rank::world]
        x = self.pictures.batch(rngs, config.crop, config.reduce, config.graphics_share).to(self.fabric.device)
        # Stratified over the batch, so that every step sees the whole range of qualities.
        strata = [(number * world + rank + rng.random()) / config.batch for number, rng in enumerate(rngs)]
        position = torch.tensor(strata, dtype=torch.float32, device=self.fabric.device)
        torch.manual_seed(int(np.random.default_rng([config.seed, self.step, rank, NOISE]).integers(2**62)))

        rate = config.rate(self.progress)
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        for group, full in zip(self._groups(), self.full_rates, strict=True):
            group["lr"] = full * rate / config.lr
        with self._autocast():
            result = self.codec(x, position)
        rd = rate_distortion(result, x, position, config.profile)
        objective = rd.objective
        agreed = self._agree([objective, rd.loss, rd.bpp.mean(), rd.psnr.mean()], interrupted)
        self.seconds = agreed.seconds
        is_skipped = self._is_outlier(agreed.objective)
        if not is_skipped:
            self.fabric.backward(objective)
            torch.nn.utils.clip_grad_norm_(self.codec.parameters(), config.clip)
            for optimiser in self.optimisers:
                optimiser.step()
            self._update_ema()
            self.objectives.append(agreed.objective)
        self.skipped = self.skipped + 1 if is_skipped else 0
        self.step += 1
        seconds = time.perf_counter() - began
        self._own_seconds += seconds
        return {
            "step": self.step,
            "loss": agreed.loss,
            "bpp": agreed.bpp,
            "psnr": agreed.psnr,
            "lr": rate,
            "skipped": float(is_skipped),
            "seconds": seconds,
        }, agreed

    def _agree(self, measured: list[Tensor], interrupted: bool) -> _Agreed:
        """Bring the processes of the run to one view, so that all skip a step, or end, or none does."""
        dtype = torch.float64 if self.fabric.device.type == "cpu" else torch.float32
        values = torch.stack([value.detach().to(dtype) for value in measured])
        others = torch.tensor([float(interrupted), self._own_seconds], dtype=dtype, device=values.device)
        mean = self.fabric.all_reduce(torch.cat([values, others]), reduce_op="mean")
        assert isinstance(mean, Tensor)
        objective, loss, bpp, psnr, ended, seconds = mean.tolist()
        return _Agreed(objective if math.isfinite(objective) else math.inf, loss, bpp, psnr, ended > 0, seconds)

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimiser in self.optimisers for group in optimiser.param_groups]

    def _is_outlier(self, objective: float) -> bool:
        if not math.isfinite(objective):
            return True
        return len(self.objectives) >= 20 and objective > self.config.skip_above * statistics.median(self.objectives)

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(self.config.ema, (self.step + 1) / (self.step + 10))
        current: list[Tensor] = list(self.codec.parameters())
        torch._foreach_lerp_(list(self.ema.parameters()), current, 1 - decay)

    def _autocast(self) -> torch.autocast:
        # Not Fabric's own mixed precision: that would hand the codec pixels rounded to bfloat16.
        return torch.autocast(self.fabric.device.type, torch.bfloat16)

    @torch.no_grad()
    def validate(self) -> list[dict[str, float | str]]:
        """Measure the averaged weights: a row of estimated bpp, PSNR and loss for each kind of picture and quality."""
        profile = self.config.profile
        kinds = {PHOTOGRAPHS: list(self.pictures.held_out_crops(self.config.crop).split(self.config.batch))}
        kinds |= self.pictures.held_out_graphics_crops(profile.block)
        rows: list[dict[str, float | str]] = []
        for kind, batches in kinds.items():
            for value in VALIDATION_POSITIONS if batches else ():
                parts = []
                for x in batches:
                    x = x.to(self.fabric.device)
                    position = torch.full((len(x),), value, device=x.device)
                    with self._autocast():
                        result = self.ema(x, position)
                    parts.append(rate_distortion(result, x, position, profile))
                loss, bpp, psnr = (
                    float(torch.cat([getattr(rd, name) for rd in parts]).mean()) for name in ("cost", "bpp", "psnr")
                )
                rows.append({"kind": kind, "position": value, "loss": loss, "bpp": bpp, "psnr": psnr})
        return rows

    def save(self) -> None:
        """Write the checkpoint beside its final name and rename it, so that it is never half-written."""
        if not self.fabric.is_global_zero:
            return
        state = {
            "config": self.config.to_dict(),
            "step": self.step,
            "seconds": self._own_seconds,
            "skipped": self.skipped,
            "objectives": list(self.objectives),
            "codec": self.codec.module.state_dict(),
            "ema": self.ema.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }
        temporary = self.run / f"{CHECKPOINT}.part"
        torch.save(state, temporary)
        os.replace(temporary, self.run / CHECKPOINT)

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.step, self.skipped = state["step"], state["skipped"]
        self.seconds = self._own_seconds = state["seconds"]
        self.objectives.extend(state["objectives"])
        self.codec.module.load_state_dict(state["codec"])
        self.ema.load_state_dict(state["ema"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


def load_checkpoint(run: Path) -> dict[str, Any]:
    """Return the checkpoint of a run. Raises :class:`ConfigError` where there is none."""
    path = run / CHECKPOINT
    if not path.exists():
        raise ConfigError(f"{path}: there is no checkpoint to resume or export")
    return torch.load(path, map_location="cpu", weights_only=True)


def load_trained(run: Path) -> tuple[Codec, int]:
    """Return the averaged weights of a run, and the number of steps behind them."""
    state = load_checkpoint(run)
    codec = build(from_dict(state["config"]["profile"]))
    codec.load_state_dict(state["ema"])
    return codec.eval(), state["step"]


def start(
    config: TrainConfig,
    run: Path,
    pictures: Pictures,
    resume: bool = False,
    init: Codec | None = None,
    fabric: Fabric | None = None,
) -> Trainer:
    """Make a trainer in the folder ``run``: new, from the weights of ``init`` if given, or from its checkpoint.

    Raises :class:`ConfigError` where a new run would overwrite one, where there is none to continue, or where the
    profile is not that of the run or of ``init``. A profile may have more residual blocks than ``init``: they start
    as the identity.
    """
    fabric = fabric or Fabric(accelerator="auto", devices=1)
    torch.manual_seed(config.seed)
    if resume:
        state = load_checkpoint(run)
        if state["config"]["profile"] != config.profile.to_dict():
            raise ConfigError(f"{run}: the run has another profile; a profile cannot change when a run is resumed")
        trainer = Trainer(config, run, pictures, fabric, build(config.profile))
        trainer.load(state)
    elif (run / CHECKPOINT).exists():
        raise ConfigError(f"{run}: holds a run already; continue it with --resume or choose another folder")
    else:
        trainer = Trainer(config, run, pictures, fabric, _initial(config, pictures, init))
    if fabric.is_global_zero:
        run.mkdir(parents=True, exist_ok=True)
        versions = {package: version(package) for package in VERSIONS}
        (run / CONFIG).write_text(json.dumps(config.to_dict() | {"versions": versions}, indent=1))
    return trainer


def _initial(config: TrainConfig, pictures: Pictures, init: Codec | None) -> Codec:
    codec = build(config.profile)
    if init is None:
        codec.start_from(pictures.batch(generators(KLT_CROPS, config.seed), config.crop))
        return codec
    given, wanted = init.state_dict(), codec.state_dict()
    if any(name not in wanted or wanted[name].shape != value.shape for name, value in given.items()):
        raise ConfigError("the profile has other sizes than the model that the run starts from")
    codec.load_state_dict(wanted | given)
    return codec
