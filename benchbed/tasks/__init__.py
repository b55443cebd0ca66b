"""Tasks: images and labels, one task a file. `benchbed.tasks.load.load_task` makes one by name."""
