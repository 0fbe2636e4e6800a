"""Labelled videos for training, wherever they are listed.

records   Record: a labelled stretch of a video; what every list of data becomes
video_data  VideoData: records by split, from folders, lists, tables, tensors and other tools
splitting   records into training and validation, whole groups at a time; leaks between the two
checking    records into videos that can be read; what cannot is named
balance     classes that are rarer than others
"""

from streamcls.finetune.data.records import Record
from streamcls.finetune.data.video_data import VideoData

__all__ = ["Record", "VideoData"]
