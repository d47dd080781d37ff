"""Profiles: the frozen description of one member of the family."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from finola_codec.entropy.prior import PriorSpec
from finola_codec.errors import ConfigError


@dataclass(frozen=True)
class Profile:
    """What a codec is made of; the same code serves every profile.

    ``block`` pixels a side are covered by one C-vector (C = ``channels``), from which FINOLA grows a
    ``block / stride`` square patch of the feature map.
    """

    name: str
    block: int = 16
    stride: int = 4
    channels: int = 256
    seed_channels: int = 192  # width of the vector that FINOLA grows
    encoder_widths: tuple[int, int, int] = (128, 192, 256)  # at stride 4, 8, 16
    encoder_depths: tuple[int, int, int] = (3, 3, 2)
    decoder_width: int = 128  # at the feature map's stride
    decoder_depth: int = 5
    refine_depth: int = 2  # residual blocks on the grid of C-vectors, before growth
    groups: tuple[int, ...] = (16, 32, 64, 144)  # channel groups of the causal context
    hyper_channels: int = 128
    hyper_patch: int = 4  # one hyper vector for hyper_patch x hyper_patch C-vectors
    context_width: int = 128
    anchors: int = 8  # points in log lambda between which gains are interpolated
    lambda_min: float = 0.0003  # quality 1; loss = bpp + lambda * 255^2 * MSE
    lambda_max: float = 0.25  # quality 100
    unit: float = 3.5  # natural unit of the latent: coefficients of pixels in [0, 1] times this

    def __post_init__(self) -> None:
        if self.block != 16 or self.block % self.stride:
            raise ConfigError(f"profile {self.name}: block 16 with a stride that divides it is supported")
        if sum(self.groups) != self.channels:
            raise ConfigError(f"profile {self.name}: groups {self.groups} do not add up to {self.channels} channels")

    @property
    def patch(self) -> int:
        """Side of the patch of the feature map that one C-vector grows into."""
        return self.block // self.stride

    @property
    def prior(self) -> PriorSpec:
        """The description of the prior that training and coding share."""
        return PriorSpec(
            channels=self.channels,
            groups=self.groups,
            hyper_channels=self.hyper_channels,
            hyper_patch=self.hyper_patch,
            width=self.context_width,
            anchors=self.anchors,
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary, read back by :func:`from_dict`."""
        return asdict(self)


def from_dict(fields: dict[str, Any]) -> Profile:
    """Rebuild a :class:`Profile` from :meth:`Profile.to_dict` (lists become tuples)."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return Profile(**values)


FINOLA_BASE = Profile("finola-base")
FINOLA_TINY = replace(  # for tests and quick experiments: trains in seconds
    FINOLA_BASE,
    name="finola-tiny",
    channels=32,
    seed_channels=32,
    encoder_widths=(16, 24, 32),
    encoder_depths=(1, 1, 1),
    decoder_width=16,
    decoder_depth=1,
    refine_depth=1,
    groups=(8, 24),
    hyper_channels=16,
    context_width=32,
)

PROFILES = {p.name: p for p in (FINOLA_BASE, FINOLA_TINY)}
