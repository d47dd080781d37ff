"""Pre-training without labels: what the codec's papers also use first-order autoregression for, and its rival.

The codec needs none of it. (Extra ``[train]``.)
"""
