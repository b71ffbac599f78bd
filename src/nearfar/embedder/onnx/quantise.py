"""Weights and products of 8 bits.

This file imports onnx and onnxruntime; import it inside functions only.
"""
from __future__ import annotations
