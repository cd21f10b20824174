"""Checkpoints of ALBERT from one format to another, without any framework."""
