"""All that is the space `macro`: its description, its supernet and its networks."""
