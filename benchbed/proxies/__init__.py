"""Zero-cost proxies: what an untrained network says of its accuracy, a file each, each a plug-in (`benchbed.proxy`)."""
