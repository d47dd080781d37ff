"""Encoding or decoding files and folders of any size: what is done to one, to all, and what a manifest remembers."""

from finola_codec.batch.folder import Batch, Job, run
from finola_codec.batch.work import Decoding, Encoding, Result, Work

__all__ = ["Batch", "Decoding", "Encoding", "Job", "Result", "Work", "run"]
