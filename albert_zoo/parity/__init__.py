"""Proof that the frameworks compute the same numbers from the same checkpoint."""
