"""`python -m benchbed`."""

from .cli import main

if __name__ == "__main__":
    main()
