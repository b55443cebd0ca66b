"""What people read: drawings of cells and tables on the terminal."""
