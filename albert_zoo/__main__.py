"""`python -m albert_zoo` is `albert-zoo`, for programs that start modules."""

from albert_zoo.cli import main

if __name__ == "__main__":
    main()
