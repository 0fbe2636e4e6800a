"""Which clips of which videos, and reading them.

samplers    where in a video clips begin
orders      which videos come when, for one process or for several
reader      one clip of a file, frame for frame what the daemon would see
picking     decoding only what a clip needs
cache       decoded small frames on disk
frame_file  how one video's are kept
"""
