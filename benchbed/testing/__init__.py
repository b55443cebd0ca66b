"""Contract suites that a plug-in's author can run, and the toys that they run against."""
