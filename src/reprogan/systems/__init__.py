"""What is trained: networks, optimisers and one step, per training procedure."""
