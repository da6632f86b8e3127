"""Every byte that a peer or the loop sees, a file for each protocol."""
