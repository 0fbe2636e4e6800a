"""What this machine offers a daemon, what is missing, and how to get it.

    software -> machine -> network -> video -> webcams -> places -> addresses

Each part needs packages of its own, which may be the very ones that are missing: then that part is
left out, and the others are looked at all the same.
"""

from streamcls.doctor.examining import examine
from streamcls.doctor.finding import Finding, Level, Section

__all__ = ["Finding", "Level", "Section", "examine"]
