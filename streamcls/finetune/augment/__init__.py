"""What only training does to clips.

sample  between the halves of the transforms, clip by clip, in the process that decodes
batch   before batches are normalised, on the device: colour, mixing, RandAugment
"""
