"""What gates are a function of: a supernet."""
