"""The bundled camera-motion model: its training data, training and evaluation.

labels    the classes and the numbers that keep them apart
photos    the training photographs and how to obtain them
camera    virtual camera paths: time -> pose
backdrop  a photograph seen through the camera
objects   things that move by themselves
light     exposure, noise, weather, codec traces
overlay   text, bars, logos, dirt
cover     a covered lens
scene     all of these together, rendered
dataset   clips for training
train     losses, optimiser, averaged weights
video     video files of known motion
evaluate  accuracy on held-out photographs through real video files

`python -m streamcls.finetune.camera_motion --help` lists the commands.
"""
