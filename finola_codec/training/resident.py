"""Training pictures in the memory of an accelerator, whose crops need nothing of the processor but random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from finola_codec.training.data import Pictures, Region


@dataclass(frozen=True)
class ResidentPictures(Pictures):
    """Pictures whose pixels are on ``device`` too, a byte a sample: 2.4 GB for 800 megapixels.

    Crops are those of :class:`Pictures`, but for reduced ones: these are resampled by an antialiased bicubic filter
    instead of Lanczos's, which torch lacks.
    """

    device: str = "cpu"

    @staticmethod
    def fit(pictures: Pictures, device: torch.device) -> bool:
        """Say whether ``device`` is a GPU of whose free memory the pixels take no more than half.

        Its steps are over before a processor has cut the crops for one.
        """
        if device.type != "cuda":
            return False
        return sum(image.nbytes for image in pictures.to_train) <= torch.cuda.mem_get_info(device)[0] / 2

    @classmethod
    def of(cls, pictures: Pictures, device: torch.device) -> ResidentPictures:
        """Copy the pixels of ``pictures`` to ``device``."""
        kept = (pictures.train, pictures.held_out, pictures.graphics, pictures.held_out_graphics)
        return cls(*kept, device=str(device))

    @cached_property
    def _pixels(self) -> list[Tensor]:
        """The pixels (3, H, W) of each picture to train on."""
        return [torch.from_numpy(np.array(image)).to(self.device).permute(2, 0, 1) for image in self.to_train]

    def batch(
        self, rngs: Sequence[np.random.Generator], crop: int, reduce: float = 1.0, graphics: float = 0.0
    ) -> Tensor:
        """Draw a crop by each generator, as :meth:`Pictures.batch` does: (N, 3, crop, crop) on the device."""
        drawn = [self.draw(rng, crop, reduce, graphics) for rng in rngs]
        crops = torch.stack([_cut(self._pixels[region.picture], region, crop) for region in drawn])
        return crops.contiguous(memory_format=torch.channels_last) / 255 - 0.5


def _cut(pixels: Tensor, region: Region, size: int) -> Tensor:
    """Pixels (3, H, W) to a crop (3, size, size) in float32, from 0 to 255."""
    top, left, side = region.top, region.left, region.side
    crop = pixels[:, top : top + side, left : left + side].float()
    if side > size:
        crop = F.interpolate(crop[None], size=(size, size), mode="bicubic", antialias=True)[0].round().clamp(0, 255)
    crop = torch.rot90(crop, region.turns, dims=(1, 2))
    return crop.flip(2) if region.is_mirrored else crop
