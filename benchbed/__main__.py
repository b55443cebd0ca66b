"""`python -m benchbed`."""

from .cli import main

main()
