"""The version of the simulation."""

from __future__ import annotations

# Freezes every sample: kit, machines, acoustics, noise and scenes. Any change that alters one
# sample of one clip takes the next number, so tables of different versions are never mixed.
SIM_VERSION = 1
