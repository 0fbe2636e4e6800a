"""`python -m streamcls` is `streamcls`."""

from streamcls.cli import main

main()
