"""The steps themselves: optimiser, checkpoints, several processes."""
