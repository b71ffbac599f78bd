"""Clips → what a training step takes: log-mels kept on disk, cut and mixed into batches."""
