"""The training engine behind `fit`, private: steps, replicas, records, rates."""
