"""What can be said of a diagram before it runs: streaming, cost."""
