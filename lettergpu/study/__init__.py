"""The report's investigation again: what is trained (rows, naive), how (running), what came out (writing, console)."""
