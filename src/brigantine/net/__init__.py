"""Where peers are, on the network."""
