"""Torch modules: the transforms, FINOLA and the differentiable prior (extra ``[train]``)."""
