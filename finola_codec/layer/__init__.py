"""The lossless layer over the learned picture (mixed raster content): what goes into it, decided when encoding."""

from finola_codec.layer.search import Choice, Learned, Search, fine_weight

__all__ = ["Choice", "Learned", "Search", "fine_weight"]
