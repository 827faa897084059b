"""Sub-networks: their parts, cutting out, batch statistics and costs."""
