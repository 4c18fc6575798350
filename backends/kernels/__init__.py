"""Triton: kernels derived from the equations of a diagram (see `backend`)."""
