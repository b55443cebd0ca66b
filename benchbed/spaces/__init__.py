"""Search spaces, one a file: positions, operations and strings, without torch."""
