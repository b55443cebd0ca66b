"""All that is the space `mbconv`: its description, its supernet and its networks."""
