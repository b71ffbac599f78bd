"""Clips of any layout as a folder that other programs load: files, a table of each split, a card.

The layout is the `audiofolder` of Hugging Face's library datasets.
"""
