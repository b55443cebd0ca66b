"""What studies measure that is no study of its own."""
