"""Mutated input for every door of the daemon: the documented error, or nothing, may come of it.

    pytest tests/fuzz                      a few seconds for each target
    pytest tests/fuzz --cases 20000        so many cases for each target
    pytest tests/fuzz -k bundle --case 17  one case again

A case is made of its target's name and its number and of nothing else, so it is the same on every
machine. STREAMCLS_FUZZ_CASES is `--cases` where no option can be given.
"""
