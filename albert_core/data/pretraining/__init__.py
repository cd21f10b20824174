"""Data that ALBERT is pretrained on: from lines of text to batches, in NumPy."""
