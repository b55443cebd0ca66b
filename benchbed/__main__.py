"""`python -m benchbed`."""

from .cli.main import process

if __name__ == "__main__":
    process()
