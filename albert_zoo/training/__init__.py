"""Training in any framework: the same data, the same steps, the same checkpoints."""
