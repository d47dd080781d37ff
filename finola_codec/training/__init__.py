"""Training of new weights (extra ``[train]``)."""
