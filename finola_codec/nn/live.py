"""A codec in training as a model that writes and reads files, without an export."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch

from finola_codec.entropy import tables as frequency_tables
from finola_codec.entropy.exact import ExactPrior
from finola_codec.nn.model import Codec
from finola_codec.runtime.devices import Floats, Graph
from finola_codec.runtime.manifest import Manifest
from finola_codec.runtime.model import Model
from finola_codec.runtime.transforms import Transforms, transforms_of


class LiveModel(Model):
    """The weights of ``codec`` as they are now. Its files are real, but no other model reads them.

    Its frequency tables are those that training assumes; an export fits them to pictures.
    """

    def __init__(self, codec: Codec, name: str = "run") -> None:
        super().__init__(Path(), Manifest(name, codec.profile, {}), bytes(4))
        self.__dict__["codec"] = codec  # a frozen dataclass has no other way to take it

    @cached_property
    def prior(self) -> ExactPrior:
        """The exact prior."""
        codec: Codec = self.__dict__["codec"]
        return codec.prior.exact(codec.prior.to_integers(), frequency_tables.build())

    @cached_property
    def transforms(self) -> Transforms:
        """The transforms, in torch."""
        codec: Codec = self.__dict__["codec"]
        graphs, device = codec.graphs(), next(codec.parameters()).device

        def open_graph(name: str, leads_to_pixels: bool) -> Graph:
            @torch.no_grad()
            def run(x: Floats, mix: Floats) -> Floats:
                given = torch.from_numpy(x.copy()).permute(2, 0, 1)[None].to(device)  # (H, W, C) -> (1, C, H, W)
                made = graphs[name].function(given, torch.from_numpy(mix).to(device))
                return made[0].permute(1, 2, 0).cpu().numpy()

            return run

        return transforms_of(codec.profile, open_graph)
