"""Training a network on clips, on Lightning.

recipe      Recipe: how to train; Custom: what a program puts in the place of our own parts
module      the training step
unfreezing  which weights learn when
measures    what scores are worth
judge       what an epoch came to, the best weights so far, the history
fit         the run: devices, checkpoints, logs, going on where it was killed
"""
