"""The paper's ablations in the small: autoencoders of 64 x 64 pixels that differ in how one vector becomes a map.

A conv encoder and attention pooling make C numbers of a picture, unquantized; they become a 16 x 16 map in one of
several ways, and a conv decoder turns that into pixels. Every row of a table has the same budget, the same
pictures in the same order, and the same networks around what it varies.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from finola_codec.nn.blocks import Bottleneck, conv
from finola_codec.nn.finola import Finola, grow, normalise
from finola_codec.training.data import Pictures, generators

SIDE, MAP, STRIDE = 64, 16, 4
WIDTH, DEPTH = 96, 2
BATCH, LR, WARMUP = 32, 1e-3, 50
REDUCE = 4  # factor by which pictures are reduced, so that a crop shows as much as the paper's 256 x 256 pixels


@dataclass(frozen=True)
class Row:
    """One autoencoder: its vector's length, and how the vector grows."""

    growth: str  # norm+linear, linear, batch norm+linear, repetition or repetition+position
    channels: int = 256
    corner: bool = False  # seed in the corner, not the centre
    shifts: bool = False  # FINOLA's matrices start as shifts of the slots, as in finola-256


TABLE_3 = (
    Row("repetition"),
    Row("repetition+position"),
    Row("linear"),
    Row("norm+linear"),
    Row("batch norm+linear"),
    Row("linear", shifts=True),
    Row("norm+linear", shifts=True),
)
TABLE_14A = (
    *(Row("norm+linear", channels) for channels in (64, 128, 256, 512, 1024)),
    Row("norm+linear", corner=True),
    *(Row("norm+linear", channels, shifts=True) for channels in (256, 512, 1024)),
    Row("norm+linear", corner=True, shifts=True),
)


class Autoencoder(nn.Module):
    """Pixels (N, 3, 64, 64) to C numbers and back."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row
        c = row.channels
        self.stem = conv(3 * STRIDE**2, WIDTH)
        self.encoder = nn.Sequential(*(Bottleneck(WIDTH) for _ in range(DEPTH)))
        self.pool = nn.Linear(WIDTH, max(1, c // MAP**2))
        self.queries = nn.Parameter(torch.randn(min(c, MAP**2), WIDTH) / math.sqrt(WIDTH))
        self.places = nn.Parameter(torch.randn(min(c, MAP**2), MAP**2) * 0.02)
        self.finola = Finola(c)
        self.norm = nn.BatchNorm1d(c) if row.growth.startswith("batch") else None
        self.position = nn.Parameter(torch.zeros(MAP, MAP, c)) if row.growth.endswith("position") else None
        self.from_map = conv(c, WIDTH, 1)
        self.decoder = nn.Sequential(*(Bottleneck(WIDTH) for _ in range(DEPTH)))
        self.head = conv(WIDTH, 3 * STRIDE**2)
        if row.shifts:
            self._start_from_shifts()

    @torch.no_grad()
    def _start_from_shifts(self) -> None:
        c = self.row.channels
        slots = torch.eye(c).unflatten(0, (MAP, MAP, -1))
        for matrix, by, axis in (
            (self.finola.right, -1, 1),
            (self.finola.left, 1, 1),
            (self.finola.down, -1, 0),
            (self.finola.up, 1, 0),
        ):
            matrix.copy_(slots.roll(by, axis).flatten(0, 2) - torch.eye(c))
        self.places.copy_(8 * torch.eye(len(self.places)))

    def forward(self, x: Tensor) -> Tensor:
        f = self.encoder(F.relu(self.stem(F.pixel_unshuffle(x, STRIDE)))).flatten(2).mT  # (N, positions, W)
        logits = f @ self.queries.T / math.sqrt(WIDTH) + self.places.T
        z = self.pool(logits.softmax(1).mT @ f).flatten(1)  # (N, C)
        m = self._grow(z).permute(0, 3, 1, 2)
        return F.pixel_shuffle(self.head(self.decoder(F.relu(self.from_map(m)))), STRIDE)

    def _grow(self, z: Tensor) -> Tensor:
        if self.row.growth.startswith("repetition"):
            m = z[:, None, None].expand(-1, MAP, MAP, -1)
            return m if self.position is None else m + self.position
        matrices = (self.finola.right, self.finola.left, self.finola.down, self.finola.up)
        return grow(z[:, None, None], matrices, MAP, MAP, (0, 0) if self.row.corner else None, self._norm())

    def _norm(self) -> Callable[[Tensor], Tensor]:
        if self.row.growth == "linear":
            return lambda z: z
        if self.norm is not None:
            batch = self.norm
            return lambda z: batch(z.flatten(0, -2)).reshape(z.shape)
        return normalise


@dataclass(frozen=True)
class Measured:
    """PSNR (dB, mean over held-out crops; NaN for a run that diverged) and seconds of training."""

    row: Row
    psnr: float
    seconds: float


def run(rows: tuple[Row, ...], pictures: Pictures, steps: int, seed: int = 0) -> Iterator[Measured]:
    """Train each row for so many steps and measure it."""
    small = Pictures([_reduced(p) for p in pictures.train], [_reduced(p) for p in pictures.held_out])
    held_out = small.held_out_crops(SIDE)
    for row in rows:
        torch.manual_seed(seed)
        model = Autoencoder(row)
        began = time.monotonic()
        converged = _train(model, small, steps, seed)
        seconds = time.monotonic() - began
        yield Measured(row, _psnr(model, held_out) if converged else math.nan, seconds)


@torch.no_grad()
def _psnr(model: Autoencoder, x: Tensor) -> float:
    mse = (model.eval()(x) - x).square().mean((1, 2, 3))
    return float((-10 * mse.log10()).mean())


def _train(model: Autoencoder, pictures: Pictures, steps: int, seed: int) -> bool:
    """Train in place; False as soon as the loss is no longer finite."""
    optimiser = torch.optim.Adam(model.parameters(), lr=LR, betas=(0.9, 0.98))
    for step in range(steps):
        x = pictures.batch(generators(BATCH, seed, step), SIDE)
        for group in optimiser.param_groups:  # warm-up, then a cosine to zero
            group["lr"] = LR * min(1, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = (model(x).float() - x).square().mean()
        if not loss.isfinite():
            return False
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    return True


def _reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).reduce(REDUCE))
