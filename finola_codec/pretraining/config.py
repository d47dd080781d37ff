"""Configuration of a pre-training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from finola_codec.training.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunConfig):
    """What a pre-training run does, at a size that trains in minutes on one core."""

    method: str
    steps: int = 1000
    warmup: float = 0.05
    cooldown: float = 0.5
    lr: float = 2e-3
    batch: int = 16
    crop: int = 128
    reduce: float = 4.0  # so that a crop shows things and not only their surface
    graphics_share: float = 0.0
    ema: float = 0.99  # of the weights that are probed, and of iTPN's teacher
    validate_every: int = 100

    mobile_former_width: float = 0.2  # FINOLA and QB-Heat: their encoder, times the paper's W720
    channels: int = 256  # FINOLA and QB-Heat: C, the length of a vector
    matrices: int = 8  # QB-Heat: 2 see the top left corner, 4 the centre, 8 every corner and the centre
    width: int = 32  # iTPN: at stride 4; twice that at stride 8, four times at stride 16
    depths: tuple[int, int, int] = (1, 1, 4)  # iTPN: blocks at stride 4, 8 and 16
    masked: float = 0.75  # iTPN: share of the units that are masked
    pyramid: bool = True  # iTPN: off, pictures are predicted from stride 16 alone
    feature_weight: float = 0.3  # iTPN: of masked feature modelling
    dropped: float = 0.5  # Fast-iTPN: share of the units that later attention does without
    decoder_depth: int = 2  # masked FINOLA-B and iTPN: transformer blocks of the decoder

    architecture: ClassVar[tuple[str, ...]] = (
        "method",
        "mobile_former_width",
        "channels",
        "matrices",
        "width",
        "depths",
        "pyramid",
        "decoder_depth",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("crop", self.crop % 64 == 0, "a multiple of 64, so that its map has quarters and their halves")
        self._check("channels", self.channels > 0 and self.channels % 16 == 0, "a multiple of 16")
        self._check("width", self.width > 0 and self.width % 4 == 0, "a multiple of 4")
        self._check("matrices", self.matrices in (2, 4, 8), "2, 4 or 8")
        self._check("depths", min(self.depths) >= 0 and self.depths[2] >= 2, "0, 0 and 2 at least")
        self._check("decoder_depth", self.decoder_depth >= 0, "at least 0")
        self._check("feature_weight", self.feature_weight >= 0, "at least 0")
        for name in ("masked", "dropped"):
            self._check(name, 0 < getattr(self, name) < 1, "between 0 and 1")
