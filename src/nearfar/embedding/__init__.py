"""Clips → rows, once: read, checked, heard by a front end and an embedder, cached, in parallel."""
