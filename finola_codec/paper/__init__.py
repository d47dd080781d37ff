"""What the FINOLA paper reports, measured here: its ablations, its table at 0.19 bit/pixel.

The codec needs none of it.
"""
