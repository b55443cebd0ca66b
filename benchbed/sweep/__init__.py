"""Many runs from one study file: what they are, how long they take, and who makes them."""
