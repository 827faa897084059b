"""What a sub-network is: its configuration, its parts, its cost, cutting it out."""
