"""Ours beside every peer, each in an environment of its own, in turns."""
