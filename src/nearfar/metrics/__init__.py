"""Scores and truth → Ω: curves, the years' rules, the bootstrap, comparisons of two systems."""
