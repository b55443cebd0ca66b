"""A cluster of machines that share no disk: each node in a network and a file system of its own (Linux, as root)."""

STUDY = """
task = "digits"
epochs = 6
[task_options]
train = 2000
[scoring]
epochs = 1
[grid]
searcher = ["darts", "proxyless"]
selector = ["magnitude", "random"]
"""
