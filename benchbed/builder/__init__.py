"""A tabular benchmark of one's own data: every functionally distinct architecture of a space, trained once a seed."""
