"""What is trained: the encoder with its head, the losses, LoRA, and what opposes the domain."""
