"""Masked FINOLA-E, element-wise: a quarter of the picture becomes one vector, which grows into the whole map."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from finola_codec.pretraining.finola import PlainFinola
from finola_codec.pretraining.method import Prediction
from finola_codec.pretraining.quadrants import anywhere


class MaskedFinolaE(PlainFinola):
    """Plain FINOLA that sees a quarter. The vector stands in its middle, and so needs not know where it lies."""

    def forward(self, x: Tensor, told: Sequence[Tensor] = ()) -> Prediction:
        block = anywhere(x)
        patches = self.grow(block.seen(x), 2 * block.height, 2 * block.width, block.seed)
        return Prediction(patches, block.masked().to(x.device))
