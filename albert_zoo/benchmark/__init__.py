"""How fast the frameworks are, in turns, with the timed outputs judged."""
