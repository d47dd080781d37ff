"""Profiles: the frozen description of one member of the family."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from finola_codec.entropy.prior import PriorSpec
from finola_codec.errors import ConfigError


@dataclass(frozen=True)
class Profile:
    """What every member has: ``block`` pixels a side are covered by one C-vector (C = ``channels``).

    FINOLA grows it into a ``block / stride`` square patch of the feature map.
    """

    name: str
    block: int
    stride: int
    channels: int
    lambda_min: float  # quality 1; loss = bpp + lambda * 255^2 * MSE
    lambda_max: float  # quality 100
    anchors: int = 8  # points in log lambda between which gains are interpolated
    unit: float = 3.5  # natural unit of the latent: coefficients of pixels in [0, 1] times this

    @property
    def patch(self) -> int:
        """Side of the patch of the feature map that one C-vector grows into."""
        return self.block // self.stride

    def lambdas(self, position: Any) -> Any:
        """Lambda at positions (a number, array or tensor) in [0, 1] of the quality range: geometric interpolation."""
        return self.lambda_min * (self.lambda_max / self.lambda_min) ** position

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary, read back by :func:`from_dict`."""
        return asdict(self)


@dataclass(frozen=True)
class BlockProfile(Profile):
    """Small blocks under a hyperprior with a causal context: the family of finola-base."""

    block: int = 16
    stride: int = 4
    channels: int = 384
    lambda_min: float = 0.0003
    lambda_max: float = 0.25
    seed_channels: int = 192  # width of the vector that FINOLA grows
    encoder_widths: tuple[int, int, int] = (128, 192, 256)  # at stride 4, 8, 16
    encoder_depths: tuple[int, int, int] = (3, 3, 2)
    decoder_width: int = 128  # at the feature map's stride
    decoder_depth: int = 5
    refine_depth: int = 2  # residual blocks on the grid of C-vectors, before growth
    groups: tuple[int, ...] = (16, 32, 64, 272)  # channel groups of the causal context
    hyper_channels: int = 128
    hyper_patch: int = 4  # one hyper vector for hyper_patch x hyper_patch C-vectors
    context_width: int = 128

    def __post_init__(self) -> None:
        if self.block != 16 or self.block % self.stride:
            raise ConfigError(f"profile {self.name}: block 16 with a stride that divides it is supported")
        if sum(self.groups) != self.channels:
            raise ConfigError(f"profile {self.name}: groups {self.groups} do not add up to {self.channels} channels")

    @property
    def prior(self) -> PriorSpec:
        """The description of the prior that training and coding share."""
        return PriorSpec.of(self.to_dict())


@dataclass(frozen=True)
class TileProfile(Profile):
    """One C-vector for a large tile, under a prior a channel: the paper's codec, the family of finola-256.

    The C-vector has a slot of ``channels / patch^2`` numbers for each position of the map.
    """

    block: int = 256
    stride: int = 16
    channels: int = 6144
    lambda_min: float = 0.0003
    lambda_max: float = 0.04
    rank: int = 64  # of what training adds to the shifts that FINOLA's matrices start from
    encoder: str = "conv"  # or "mobile-former"
    encoder_widths: tuple[int, int, int] = (96, 192, 384)  # of conv, at stride 4, 8, 16
    encoder_depths: tuple[int, int, int] = (1, 2, 2)
    mobile_former_width: float = 0.5  # of mobile-former, times the paper's W720
    heads: int = 4  # of the attention that pools the encoder's map
    decoder_widths: tuple[int, int, int] = (384, 256, 128)  # at stride 16, 8, 4
    decoder_depths: tuple[int, int, int] = (2, 2, 2)

    def __post_init__(self) -> None:
        if self.stride != 16 or self.block % self.stride or self.channels % self.patch**2:
            raise ConfigError(f"profile {self.name}: stride 16, and as many channels for each of its positions")
        if self.encoder not in ("conv", "mobile-former"):
            raise ConfigError(f"profile {self.name}: encoder {self.encoder!r} is neither conv nor mobile-former")

    @property
    def depth(self) -> int:
        """Numbers in each slot of the C-vector."""
        return self.channels // self.patch**2


def from_dict(fields: dict[str, Any]) -> Profile:
    """Rebuild a :class:`Profile` from :meth:`Profile.to_dict` (lists become tuples)."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return BlockProfile(**values) if "groups" in values else TileProfile(**values)


FINOLA_BASE = BlockProfile("finola-base")
FINOLA_256 = TileProfile("finola-256")
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
FINOLA_TINY_TILE = replace(
    FINOLA_256,
    name="finola-tiny-tile",
    block=64,
    channels=96,
    rank=4,
    encoder_widths=(8, 12, 16),
    encoder_depths=(1, 1, 1),
    mobile_former_width=0.1,
    heads=2,
    decoder_widths=(16, 12, 8),
    decoder_depths=(1, 1, 1),
)

PROFILES = {p.name: p for p in (FINOLA_BASE, FINOLA_256, FINOLA_TINY, FINOLA_TINY_TILE)}
