"""Fast-iTPN: token migration. Later attention does without the units that are least attended.

They are gathered into one token, which stays; and they return in the pyramid, as they were when they left. (Tian et
al., "Fast-iTPN: Integrally Pre-Trained Transformer Pyramid Network with Token Migration", arXiv 2211.12735v2.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from finola_codec.pretraining.config import PretrainConfig
from finola_codec.pretraining.hivit import HiViT, take
from finola_codec.pretraining.itpn import ITPN


class FastHiViT(HiViT):
    """HiViT that drops a share of its units after half of the attention blocks."""

    def __init__(self, width: int, depths: tuple[int, int, int], dropped: float) -> None:
        super().__init__(width, depths)
        self.dropped = dropped

    def attend(self, u: Tensor) -> Tensor:
        half = len(self.stage16) // 2
        for block in self.stage16[: half - 1]:
            u, _ = block(u)
        u, attention = self.stage16[half - 1](u, weighed=True)  # (N, K, width), (N, K, K)
        stay, leave = migration(attention, self.dropped)
        gathered = take(u, leave).mean(1, keepdim=True)  # (N, 1, width)
        staying = torch.cat([take(u, stay), gathered], dim=1)
        for block in self.stage16[half:]:
            staying, _ = block(staying)
        return u.scatter(1, stay[..., None].expand(-1, -1, u.shape[2]), staying[:, :-1])


def migration(attention: Tensor, dropped: float) -> tuple[Tensor, Tensor]:
    """Return which units stay and which leave, by how much the others attend to each; ``attention`` is (N, K, K)."""
    received = attention.sum(1) - attention.diagonal(dim1=1, dim2=2)  # (N, K)
    order = received.argsort(1, descending=True)
    count = max(1, round((1 - dropped) * order.shape[1]))
    return order[:, :count], order[:, count:]


class FastITPN(ITPN):
    """iTPN with such a backbone."""

    def backbone(self, config: PretrainConfig) -> HiViT:
        return FastHiViT(config.width, config.depths, config.dropped)
