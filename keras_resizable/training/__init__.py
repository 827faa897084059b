"""The training engine behind `fit`: steps, replicas, records, learning rates."""
