"""What FINOLA itself brings to finola-base: the same codec with convolutions of equal cost in its place.

    python benchmarks/ablations.py CACHE OUT STEPS

trains codecs from the KLT, each for so many steps on the same crops in the same order, and prints their held-out loss:
as it is; with matrices that start as shifts of slots instead of small and random; with sub-pixel convolutions.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.entropy.hyperprior import DIRECTIONS
from finola_codec.nn.finola import Finola
from finola_codec.nn.tile import TileFinola
from finola_codec.profiles import FINOLA_BASE, TileProfile
from finola_codec.training.codec import PHOTOGRAPHS, start
from finola_codec.training.config import TrainConfig
from finola_codec.training.data import Pictures

PATCH = 4  # of both growths


class SubPixel(nn.Module):
    """A vector to a 4 x 4 patch by two sub-pixel layers, with as many multiplications as FINOLA has."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        finola = 2 * (PATCH - 1 + PATCH * (PATCH - 1)) * channels**2
        hidden = round(finola / (4 * channels + 16 * channels))
        self.first = nn.Linear(channels, 4 * hidden)
        self.second = nn.Linear(hidden, 4 * channels)

    def forward(self, z: Tensor, height: int, width: int) -> Tensor:
        quarters = F.relu(self.first(z)).unflatten(-1, (2, 2, -1))  # (N, h, w, 2, 2, hidden)
        cells = self.second(quarters).unflatten(-1, (2, 2, -1))  # (N, h, w, 2, 2, 2, 2, C)
        return cells.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(1, 3).flatten(2, 4)  # (N, 4 h, 4 w, C)


class Shifted(Finola):
    """FINOLA that starts as finola-256's does: each cell reads its own slot of the vector, of which there are 4 x 4."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        with torch.random.fork_rng([]), torch.no_grad():  # the layers after it start as they do after FINOLA
            shifts = TileFinola(TileProfile("shifts", block=16 * PATCH, channels=channels))
            for direction in DIRECTIONS:
                getattr(self, direction).copy_(getattr(shifts, direction)(torch.eye(channels)).T)


class Normalised(Shifted):
    """The same on normalised vectors, which a shift leaves as they are."""

    forward = TileFinola.forward


VARIANTS = {
    "FINOLA in decoder and prior": (Finola, Finola),
    "the decoder's starts as shifts, on normalised vectors": (Normalised, Finola),
    "the decoder's starts as shifts": (Shifted, Finola),
    "both start as shifts, on normalised vectors": (Normalised, Normalised),
    "sub-pixel convolutions in the decoder": (SubPixel, Finola),
    "a sub-pixel hyper-decoder in the prior": (Finola, SubPixel),
}


def main(cache: Path, out: Path, steps: int) -> None:
    """Train and compare."""
    config = TrainConfig(FINOLA_BASE, steps=steps, cooldown=0.5, crop=192, lr=7e-4, ema=0.99)
    print("| growth | held-out loss | bit/pixel and PSNR at quality 50 |\n| --- | --- | --- |")
    for name, (decoder, prior) in VARIANTS.items():
        with (
            mock.patch("finola_codec.nn.decoder.Finola", decoder),
            mock.patch("finola_codec.nn.hyperprior.Finola", prior),
        ):
            trainer = start(config, out / name.replace(" ", "-"), Pictures.open(cache, config.held_out), resume=False)
            trainer.train()
            rows = [row for row in trainer.validate() if row["kind"] == PHOTOGRAPHS]
        loss = sum(row["loss"] for row in rows) / len(rows)
        middle = rows[len(rows) // 2]
        print(f"| {name} | {loss:.3f} | {middle['bpp']:.3f}, {middle['psnr']:.2f} dB |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
