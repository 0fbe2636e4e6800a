"""What finetuning learns from real footage, against a baseline that sees one frame of each clip.

footage   the recording and how to obtain it
cutting   labelled files out of it, and the stills that the baseline is given
network   what is trained
scoring   a model file on held-out files: confusion, accuracy, confidence interval
"""
