"""`python -m khoros.diskutil.launch run …`: the launcher, as ./khoros calls it."""

from khoros.diskutil.launch.cli import main

main()
