"""Recordings through the daemon's own stages, without its threads: predict, evaluate, tune."""
