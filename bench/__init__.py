"""Benchmarks: each module has `run() -> str`, a section of docs/benchmarks.md."""
