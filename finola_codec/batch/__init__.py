"""Encoding or decoding folders of any size, resumably: what is done, and what a manifest remembers of it."""

from finola_codec.batch.folder import Batch, Job, lines, run

__all__ = ["Batch", "Job", "lines", "run"]
