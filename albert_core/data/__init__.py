"""Data of tasks: what is read, made into features, and judged. No framework."""
