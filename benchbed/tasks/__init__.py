"""Tasks: images and labels, one task a file, each a plug-in. `benchbed.tasks.load.load_task` makes one by name."""
