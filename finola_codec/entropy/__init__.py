"""Exact entropy coding: integers carried in float64, nothing that a CPU could round differently."""
