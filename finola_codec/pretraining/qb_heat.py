r"""QB-Heat, the predecessor of masked FINOLA-B: linear prediction without the norm, and a matrix for each offset.

Where :math:`\partial z / \partial x = A z` and :math:`\partial z / \partial y = B z`, so that the map obeys a heat
equation, it is extended by d positions with one matrix:

.. math::
    z(x+d, y) = z(x, y) + A_d\,z(x, y)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from finola_codec.nn.finola import step
from finola_codec.pretraining.config import PretrainConfig
from finola_codec.pretraining.masked_finola_b import MaskedFinolaB
from finola_codec.pretraining.method import STRIDE
from finola_codec.pretraining.quadrants import Quadrant

# Which blocks are seen, as where they begin, in halves of their sides.
TOP_LEFT, CENTRE = ((0, 0),), ((1, 1),)
CORNERS = ((0, 0), (0, 2), (2, 0), (2, 2))
SEEN = {2: TOP_LEFT, 4: CENTRE, 8: CORNERS + CENTRE}  # by how many matrices their offsets need


class QBHeat(MaskedFinolaB):
    """Masked FINOLA-B with other steps, a linear decoder, and the blocks whose offsets have a matrix."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__(config)
        del self.finola
        self.talk = nn.Sequential()
        self.starts = SEEN[config.matrices]
        blocks = [Quadrant(*start, 2, 2) for start in self.starts]  # in halves, so offsets are 1 or 2 of them
        offsets = {f"x{group.right}" for block in blocks for group in block.groups()}
        offsets |= {f"y{group.down}" for block in blocks for group in block.groups()}
        scale = 0.3 / math.sqrt(config.channels)  # as FINOLA's matrices start
        self.matrices = nn.ParameterDict(
            {name: torch.randn(config.channels, config.channels) * scale for name in sorted(offsets)}
        )
        self.unit = config.crop // STRIDE // 4  # of the numbers in starts: half of the block's side

    def block(self, x: Tensor) -> Quadrant:
        row, column = self.starts[int(torch.randint(len(self.starts), ()))]
        return Quadrant(row * self.unit, column * self.unit, 2 * self.unit, 2 * self.unit)

    def along_x(self, z: Tensor, offset: int) -> Tensor:
        return step(z, z, self.matrices[f"x{offset // self.unit}"])

    def along_y(self, z: Tensor, offset: int) -> Tensor:
        return step(z, z, self.matrices[f"y{offset // self.unit}"])
