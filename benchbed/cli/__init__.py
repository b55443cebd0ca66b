"""The command line: each file parses the options of some commands, calls a room below, and prints."""
