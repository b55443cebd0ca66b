"""The ground: files, folders, processes, the machine, progress. Nothing here knows what a search is."""
