"""The discrete networks that an architecture names."""
