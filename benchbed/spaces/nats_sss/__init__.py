"""All that is the space `nats-sss`: its description, its supernet and its networks."""
