"""The training loop: resumable exactly, logged to CSV and TensorBoard."""

from __future__ import annotations

import csv
import json
import os
import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from finola_codec.errors import ConfigError
from finola_codec.nn.model import Codec, build
from finola_codec.profiles import from_dict
from finola_codec.training.config import CONFIG, TrainConfig
from finola_codec.training.data import Pictures
from finola_codec.training.losses import rate_distortion
from finola_codec.training.optim import optimisers

CHECKPOINT, LOG, VALIDATION = "checkpoint.pt", "log.csv", "validation.csv"
VALIDATION_POSITIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
KLT_CROPS = 400
PHOTOGRAPHS = "photographs"


class Trainer:
    """One run in one folder.

    Every step draws its crops, qualities and noise from (seed, step, rank) alone, so a run that was
    interrupted and resumed gives the same weights as one that was not.
    """

    def __init__(self, config: TrainConfig, run: Path, pictures: Pictures, fabric: Fabric | None = None) -> None:
        self.config, self.run, self.pictures = config, run, pictures
        self.fabric = fabric or Fabric(accelerator="auto", devices="auto")
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        codec = build(config.profile)
        codec.start_from(pictures.batch(KLT_CROPS, config.crop, np.random.default_rng(config.seed)))
        codec = codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = deepcopy(codec).requires_grad_(False).eval().to(self.fabric.device)
        self.codec, *self.optimisers = self.fabric.setup(codec, *optimisers(codec, config.lr))
        self.full_rates = [group["lr"] for group in self._groups()]
        self.step = 0
        self.losses: deque[float] = deque(maxlen=100)

    def train(self, max_steps: int | None = None, max_minutes: float | None = None) -> None:
        """Train to ``config.steps``, or until ``max_steps`` more steps or ``max_minutes`` have passed."""
        last = min(self.config.steps, self.step + (max_steps or self.config.steps))
        started = saved = time.monotonic()
        with _logs(self.run, self.fabric.is_global_zero) as log, _progress(self.step, self.config.steps) as progress:
            while self.step < last and not (max_minutes and time.monotonic() - started > max_minutes * 60):
                row = self._train_step()
                log.step(row)
                progress(row)
                if self.step % self.config.validate_every == 0:
                    log.validation(self.step, self.validate())
                if time.monotonic() - saved > self.config.checkpoint_minutes * 60:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def _train_step(self) -> dict[str, float]:
        config, began = self.config, time.perf_counter()
        rng = np.random.default_rng([config.seed, self.step, self.fabric.global_rank])
        torch.manual_seed(int(rng.integers(2**62)))
        x = self.pictures.batch(config.batch, config.crop, rng, config.reduce, config.graphics_share)
        x = x.to(self.fabric.device)
        # Stratified over the batch, so that every step sees the whole range of qualities.
        strata = (np.arange(config.batch) + rng.random(config.batch)) / config.batch
        position = torch.tensor(strata, dtype=torch.float32, device=self.fabric.device)

        for optimiser in self.optimisers:
            optimiser.zero_grad()
        for group, full in zip(self._groups(), self.full_rates, strict=True):
            group["lr"] = full * config.rate(self.step) / config.lr
        with self._autocast():
            result = self.codec(x, position)
        rd = rate_distortion(result, x, position, config.profile)
        objective = rd.objective
        value = objective.item()
        skipped = self._is_outlier(value)
        if not skipped:
            self.fabric.backward(objective)
            torch.nn.utils.clip_grad_norm_(self.codec.parameters(), config.clip)
            for optimiser in self.optimisers:
                optimiser.step()
            self._update_ema()
            self.losses.append(value)
        self.step += 1
        return {
            "step": self.step,
            "loss": rd.loss.item(),
            "bpp": rd.bpp.mean().item(),
            "psnr": rd.psnr.mean().item(),
            "lr": config.rate(self.step - 1),
            "skipped": float(skipped),
            "seconds": time.perf_counter() - began,
        }

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimiser in self.optimisers for group in optimiser.param_groups]

    def _is_outlier(self, loss: float) -> bool:
        if not np.isfinite(loss):
            return True
        return len(self.losses) >= 20 and loss > self.config.skip_above * statistics.median(self.losses)

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
        """The averaged weights over the held-out pictures: a row of estimated bpp, PSNR and loss a kind and quality."""
        profile = self.config.profile
        unit = profile.block * getattr(profile, "hyper_patch", 1)
        kinds = {PHOTOGRAPHS: list(self.pictures.held_out_crops(self.config.crop).split(self.config.batch))}
        kinds |= self.pictures.held_out_graphics_crops(unit)
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
                means = {name: torch.cat([getattr(rd, name) for rd in parts]).mean() for name in ("cost", "bpp", "psnr")}
                row = {"loss": means["cost"].item(), "bpp": means["bpp"].item(), "psnr": means["psnr"].item()}
                rows.append({"kind": kind, "position": value} | row)
        return rows

    def save(self) -> None:
        """Write the checkpoint beside its final name and rename it, so that it is never half-written."""
        if not self.fabric.is_global_zero:
            return
        state = {
            "config": self.config.to_dict(),
            "step": self.step,
            "losses": list(self.losses),
            "codec": self.codec.module.state_dict(),
            "ema": self.ema.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }
        temporary = self.run / f"{CHECKPOINT}.part"
        torch.save(state, temporary)
        os.replace(temporary, self.run / CHECKPOINT)

    def load(self) -> None:
        """Continue from the checkpoint of the run's folder."""
        state = load_checkpoint(self.run)
        self.step = state["step"]
        self.losses.extend(state["losses"])
        self.codec.module.load_state_dict(state["codec"])
        self.ema.load_state_dict(state["ema"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


def load_checkpoint(run: Path) -> dict[str, Any]:
    """The checkpoint of a run. Raises :class:`ConfigError` where there is none."""
    path = run / CHECKPOINT
    if not path.exists():
        raise ConfigError(f"{path}: there is no checkpoint to resume or export")
    return torch.load(path, map_location="cpu", weights_only=True)


def load_trained(run: Path) -> tuple[Codec, int]:
    """The averaged weights of a run, and the number of steps behind them."""
    state = load_checkpoint(run)
    codec = build(from_dict(state["config"]["profile"]))
    codec.load_state_dict(state["ema"])
    return codec.eval(), state["step"]


class _Logs:
    STEP = ("step", "loss", "bpp", "psnr", "lr", "skipped", "seconds")
    VALIDATION = ("step", "kind", "position", "loss", "bpp", "psnr")

    def __init__(self, run: Path) -> None:
        self.files = [(run / name).open("a", newline="") for name in (LOG, VALIDATION)]
        self.writers = [csv.DictWriter(f, c) for f, c in zip(self.files, (self.STEP, self.VALIDATION), strict=True)]
        for file, writer in zip(self.files, self.writers, strict=True):
            if file.tell() == 0:
                writer.writeheader()
        self.board = SummaryWriter(run / "tensorboard")

    def step(self, row: dict[str, float]) -> None:
        self.writers[0].writerow({k: f"{v:.6g}" for k, v in row.items()})
        if row["step"] % 20 == 0:
            self.files[0].flush()
            for name in ("loss", "bpp", "psnr", "lr"):
                self.board.add_scalar(f"train/{name}", row[name], int(row["step"]))

    def validation(self, step: int, rows: list[dict[str, float | str]]) -> None:
        for row in rows:
            self.writers[1].writerow({k: v if k == "kind" else f"{v:.6g}" for k, v in ({"step": step} | row).items()})
            for name in ("loss", "bpp", "psnr"):
                self.board.add_scalar(f"{row['kind']}_{row['position']}/{name}", row[name], step)
        self.files[1].flush()

    def close(self) -> None:
        for file in self.files:
            file.close()
        self.board.close()


class _NoLogs:
    """What the other ranks of a distributed run write: nothing."""

    def step(self, row: dict[str, float]) -> None: ...

    def validation(self, step: int, rows: list[dict[str, float | str]]) -> None: ...


@contextmanager
def _logs(run: Path, is_writer: bool) -> Iterator[_Logs | _NoLogs]:
    if not is_writer:
        yield _NoLogs()
        return
    logs = _Logs(run)
    try:
        yield logs
    finally:
        logs.close()


@contextmanager
def _progress(step: int, steps: int) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("training", total=steps, completed=step)

        def show(row: dict[str, float]) -> None:
            text = f"loss {row['loss']:.3f}  {row['bpp']:.3f} bpp  {row['psnr']:.2f} dB"
            bar.update(task, completed=int(row["step"]), description=text)

        yield show


def start(config: TrainConfig, run: Path, pictures: Pictures, resume: bool, init: Codec | None = None) -> Trainer:
    """A trainer in the folder ``run``: new, from the weights of ``init`` if given, or continued from its checkpoint.

    Raises :class:`ConfigError` where a new run would overwrite one, or there is none to continue.
    """
    if not resume and (run / CHECKPOINT).exists():
        raise ConfigError(f"{run}: holds a run already; continue it with --resume or choose another folder")
    run.mkdir(parents=True, exist_ok=True)
    (run / CONFIG).write_text(json.dumps(config.to_dict(), indent=1))
    trainer = Trainer(config, run, pictures)
    if resume:
        trainer.load()
    elif init is not None:
        for codec in (trainer.codec.module, trainer.ema):
            codec.load_state_dict(init.state_dict())
    return trainer
