"""Training on labelled videos through the transforms the daemon serves with.

data      labelled videos, wherever they are listed
clips     which clips of which videos, and reading them
augment   what only training does to clips
loading   videos as clips, in worker processes
training  the training itself, on Lightning
start     what a training starts from
train     all of that in turn
trained   what came of it, and writing the model file
"""
