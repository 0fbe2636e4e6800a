"""How many cameras this machine serves, found by serving them: `streamcls bench`.

    films -> a daemon in a child process, with ever more cameras -> what its subscriber sees
          -> the largest number that is held -> what limits it

Only the child serves; nothing here runs in a daemon.
"""
