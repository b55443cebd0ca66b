"""The over-parameterised networks, and the plan of what runs in them."""
