"""Training: learning rates, batches, validation, checkpoints that survive anything, and the loop that uses them."""
