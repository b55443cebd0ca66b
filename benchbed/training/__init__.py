"""Training a discrete network from scratch: recipes, the one training loop, evaluation."""
