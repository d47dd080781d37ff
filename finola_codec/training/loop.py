"""The training loop: resumable exactly, on one device or many."""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections import deque
from collections.abc import Callable
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from finola_codec.errors import ConfigError, TrainingError
from finola_codec.training.config import CONFIG, RunConfig
from finola_codec.training.data import Pictures, generators
from finola_codec.training.files import Checked
from finola_codec.training.interrupt import interruption
from finola_codec.training.logs import Row, logs
from finola_codec.training.optim import optimisers

CHECKPOINT = "checkpoint.pt"
NOISE = 1  # makes the generator of a step's noise another than those of crops
MAX_SKIPPED = 25  # the run ends when this many steps in a row were skipped
VERSIONS = ("torch", "lightning", "numpy")  # packages whose versions are saved beside the configuration


class Measured(NamedTuple):
    """What a batch gives: the scalar that is minimised, and those that are logged, by name; ``loss`` is among them."""

    objective: Tensor
    logged: dict[str, Tensor]


class Objective(Protocol):
    """What a run trains for. The loop knows nothing else of the model that it trains."""

    columns: tuple[str, ...]  # what is logged of steps and validations beside the loss
    labels: tuple[str, ...]  # what tells the rows of a validation apart

    def measure(self, model: nn.Module, average: nn.Module, x: Tensor, drawn: Tensor) -> Measured:
        """Apply ``model`` to crops (N, 3, H, W) in [-0.5, 0.5].

        ``average`` has the averaged weights. ``drawn`` (N,) is a random number in [0, 1) for each crop, and evenly
        spread over the batch. Whatever else is random comes from torch's generator, which is seeded for the step.
        """

    def validate(self, model: nn.Module) -> list[Row]:
        """Measure averaged weights on held-out pictures: rows of ``labels``, the loss and ``columns``."""

    def check_files(self, model: nn.Module) -> Checked | None:
        """Measure them in real files, where the model writes any."""


class _Agreed(NamedTuple):
    """What all processes of a run know of a step: means over them."""

    objective: float  # infinite where that of any process is not finite
    logged: dict[str, float]
    interrupted: bool
    seconds: float  # how long training has taken so far


class Trainer:
    """One run in one folder.

    Every step draws its noise, of quantization say, from (seed, step, rank) and each of its crops from (seed, step,
    number of the crop) alone. So a run that was interrupted and resumed gives the same weights as one that was not,
    and several processes together see the crops that one alone would see.
    """

    def __init__(
        self, config: RunConfig, run: Path, pictures: Pictures, objective: Objective, fabric: Fabric, model: nn.Module
    ) -> None:
        self.config, self.run, self.pictures, self.objective, self.fabric = config, run, pictures, objective, fabric
        if config.batch % fabric.world_size:
            raise ConfigError(f"batch is {config.batch}, which {fabric.world_size} processes cannot share evenly")
        if config.threads:
            torch.set_num_threads(config.threads)
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = deepcopy(model).requires_grad_(False).eval().to(fabric.device)
        self.model, *self.optimisers = fabric.setup(model, *optimisers(model, config.lr))
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
        with (
            logs(self.run, self.objective.columns, self.objective.labels, self.fabric.is_global_zero) as log,
            interruption() as noted,
        ):
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
                    if checked := self.objective.check_files(self.ema):
                        log.real_files(self.step, checked)
                if time.monotonic() - saved > self.config.checkpoint_minutes * 60:
                    self.save()
                    saved = time.monotonic()
                if agreed.interrupted:
                    break
        self.save()
        return noted.signal

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
        # Stratified over the batch, so that every step sees the whole range, of qualities say.
        strata = [(number * world + rank + rng.random()) / config.batch for number, rng in enumerate(rngs)]
        drawn = torch.tensor(strata, dtype=torch.float32, device=self.fabric.device)
        torch.manual_seed(int(np.random.default_rng([config.seed, self.step, rank, NOISE]).integers(2**62)))

        rate = config.rate(self.progress)
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        for group, full in zip(self._groups(), self.full_rates, strict=True):
            group["lr"] = full * rate / config.lr
        with self._autocast():
            objective, logged = self.objective.measure(self.model, self.ema, x, drawn)
        agreed = self._agree(objective, logged, interrupted)
        self.seconds = agreed.seconds
        is_skipped = self._is_outlier(agreed.objective)
        if not is_skipped:
            self.fabric.backward(objective)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
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
            **agreed.logged,
            "lr": rate,
            "skipped": float(is_skipped),
            "seconds": seconds,
        }, agreed

    def _agree(self, objective: Tensor, logged: dict[str, Tensor], interrupted: bool) -> _Agreed:
        """Bring the processes of the run to one view, so that all skip a step, or end, or none does."""
        dtype = torch.float64 if self.fabric.device.type == "cpu" else torch.float32
        values = torch.stack([value.detach().to(dtype) for value in (objective, *logged.values())])
        others = torch.tensor([float(interrupted), self._own_seconds], dtype=dtype, device=values.device)
        mean = self.fabric.all_reduce(torch.cat([values, others]), reduce_op="mean")
        assert isinstance(mean, Tensor)
        reached, *means, ended, seconds = mean.tolist()
        named = dict(zip(logged, means, strict=True))
        return _Agreed(reached if math.isfinite(reached) else math.inf, named, ended > 0, seconds)

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimiser in self.optimisers for group in optimiser.param_groups]

    def _is_outlier(self, objective: float) -> bool:
        if not math.isfinite(objective):
            return True
        return len(self.objectives) >= 20 and objective > self.config.skip_above * statistics.median(self.objectives)

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(self.config.ema, (self.step + 1) / (self.step + 10))
        current: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(list(self.ema.parameters()), current, 1 - decay)

    def _autocast(self) -> torch.autocast:
        # Not Fabric's own mixed precision: that would hand the model pixels rounded to bfloat16.
        return torch.autocast(self.fabric.device.type, torch.bfloat16)

    @torch.no_grad()
    def validate(self) -> list[Row]:
        """Measure the averaged weights on held-out pictures."""
        with self._autocast():
            return self.objective.validate(self.ema)

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
            "model": self.model.module.state_dict(),
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
        self.model.module.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


def load_checkpoint(run: Path) -> dict[str, Any]:
    """Return the checkpoint of a run. Raises :class:`ConfigError` where there is none."""
    path = run / CHECKPOINT
    if not path.exists():
        raise ConfigError(f"{path}: there is no checkpoint to resume or export")
    return torch.load(path, map_location="cpu", weights_only=True)


def start(
    config: RunConfig,
    run: Path,
    pictures: Pictures,
    objective: Objective,
    build: Callable[[], nn.Module],
    resume: bool = False,
    fabric: Fabric | None = None,
) -> Trainer:
    """Make a trainer in the folder ``run`` for what ``build`` returns: new, or from the run's checkpoint.

    Raises :class:`ConfigError` where a new run would overwrite one, where there is none to continue, or where the
    architecture is not that of the run.
    """
    fabric = fabric or Fabric(accelerator="auto", devices=1)
    torch.manual_seed(config.seed)
    if resume:
        state = load_checkpoint(run)
        for name in config.architecture:
            wanted = config.to_dict()[name]
            if state["config"].get(name, wanted) != wanted:  # an older run may not have the field
                raise ConfigError(f"{run}: the run has another {name}; it cannot change when a run is resumed")
    elif (run / CHECKPOINT).exists():
        raise ConfigError(f"{run}: holds a run already; continue it with --resume or choose another folder")
    trainer = Trainer(config, run, pictures, objective, fabric, build())
    if resume:
        trainer.load(state)
    if fabric.is_global_zero:
        run.mkdir(parents=True, exist_ok=True)
        versions = {package: version(package) for package in VERSIONS}
        (run / CONFIG).write_text(json.dumps(config.to_dict() | {"versions": versions}, indent=1))
    return trainer
