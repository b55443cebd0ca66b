"""All that is the space `nb201-untied`: its description, its supernet and its networks."""
