"""A detector on disk.

One JSON index, one safetensors bank a section, perhaps the encoder's weights.
"""
