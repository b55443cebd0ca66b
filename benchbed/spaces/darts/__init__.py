"""All that is the space `darts`: its description, its supernet and its networks."""
