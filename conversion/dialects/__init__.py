"""How other checkpoints spell ALBERT's parameters: a table each, used both ways."""
