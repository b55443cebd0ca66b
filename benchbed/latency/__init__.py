"""What an architecture costs: look-up tables, whole-network tables, measurement, and the cost in the loss."""
