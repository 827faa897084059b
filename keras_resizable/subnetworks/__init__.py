"""What a sub-network is: its parts, cutting it out, its statistics, its cost."""
