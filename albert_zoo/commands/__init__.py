"""The commands of `albert-zoo`, one file each; frameworks load when one runs."""
