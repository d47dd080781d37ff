"""Runs a trained model without torch: opens and checks its folder, transforms pictures by windows, refines vectors."""
