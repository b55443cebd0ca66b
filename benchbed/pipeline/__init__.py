"""How a run becomes a record: configuration, search, selection, score."""
