r"""Masked FINOLA-B, block-wise: every position of the quarter that is seen predicts three masked counterparts.

They lie at the offsets of the position's group (see :mod:`finola_codec.pretraining.quadrants`), and are reached by the
steps of equation 3:

.. math::
    z(x+1, y) = z(x, y) + A\,\hat z(x, y)

as often as the offset is long; the one that lies across, along x and then y, and along y and then x, averaged.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from finola_codec.nn.finola import Finola, normalise, step
from finola_codec.pretraining.config import PretrainConfig
from finola_codec.pretraining.method import MobileFormerMethod, Prediction, pixels_of, places, transformer
from finola_codec.pretraining.quadrants import Quadrant, anywhere


class MaskedFinolaB(MobileFormerMethod):
    """Encoder, FINOLA, transformer blocks in which the groups talk, and a linear layer to patches."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__(config)
        self.widen = nn.Linear(self.encoder.width, config.channels)
        self.finola = Finola(config.channels)
        self.talk = transformer(config.channels, config.decoder_depth)
        self.to_pixels = pixels_of(config.channels)

    def forward(self, x: Tensor, told: Sequence[Tensor] = ()) -> Prediction:
        block = self.block(x)
        z = self.extend(self.widen(self.encode(block.seen(x))), block)  # (N, h, w, C), h = 2 block.height
        if len(self.talk):
            where = places(*z.shape[1:]).to(z.device)  # (h w, C)
            z = self.talk(z.flatten(1, 2) + where).unflatten(1, z.shape[1:3])
        return Prediction(self.to_pixels(z), block.masked().to(x.device))

    def block(self, x: Tensor) -> Quadrant:
        """Draw the quarter that is seen."""
        return anywhere(x)

    def extend(self, z: Tensor, block: Quadrant) -> Tensor:
        """Extend the map of the block (N, height, width, C) to that of the picture (N, 2 height, 2 width, C)."""
        n, height, width, c = z.shape
        whole = z.new_zeros(n, 2 * height, 2 * width, c)
        whole[:, block.row : block.row + height, block.column : block.column + width] = z
        for rows, columns, down, right in block.groups():
            below, beside = _shifted(rows, down), _shifted(columns, right)
            seen = whole[:, rows, columns].clone()
            z_down, z_right = self.along_y(seen, down), self.along_x(seen, right)
            whole[:, below, columns] = z_down
            whole[:, rows, beside] = z_right
            whole[:, below, beside] = (self.along_x(z_down, right) + self.along_y(z_right, down)) / 2
        return whole

    def along_x(self, z: Tensor, offset: int) -> Tensor:
        """Go from vectors (..., C) to those ``offset`` positions to the right."""
        return _repeated(z, self.finola.right if offset > 0 else self.finola.left, abs(offset))

    def along_y(self, z: Tensor, offset: int) -> Tensor:
        """Go from vectors (..., C) to those ``offset`` positions below."""
        return _repeated(z, self.finola.down if offset > 0 else self.finola.up, abs(offset))


def _repeated(z: Tensor, matrix: Tensor, times: int) -> Tensor:
    for _ in range(times):
        z = step(z, normalise(z), matrix)
    return z


def _shifted(positions: slice, by: int) -> slice:
    return slice(positions.start + by, positions.stop + by)
