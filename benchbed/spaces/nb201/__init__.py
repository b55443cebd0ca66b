"""All that is the space `nb201`: its description, its supernet and its networks."""
