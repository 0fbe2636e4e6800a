"""Live video to label events, on your own box. The pipeline, in five lines:

sources decode files, RTSP cameras and webcams, one capture thread each;
windows keep the frames that show on a grid of instants and close T of them into a clip;
inference classifies the newest clips of all streams in one batch on the device;
decisions turn scores into label events, with hysteresis in seconds;
publish numbers them and sends them over ZeroMQ.
"""

__version__ = "0.1.0"
