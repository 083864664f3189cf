"""`./khoros lab`: lists the exercises, gives starting points, checks answers.

    ./khoros lab                      the list
    ./khoros lab start N [FOLDER]     makes FOLDER (lab-N) with the starting point; never overwrites
    ./khoros lab check N [FOLDER]     status 0: right, 1: not yet, with what is wrong on stderr
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.command import main

sys.exit(main(sys.argv[1:]))
