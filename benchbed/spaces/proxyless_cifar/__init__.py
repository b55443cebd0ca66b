"""All that is the space `proxyless-cifar`: its description, its supernet and its networks."""
