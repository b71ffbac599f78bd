"""Rows → a score: adapted, whitened, held against a memory bank, calibrated."""
