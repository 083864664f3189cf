"""Exercises with Khoros, and checks of the answers: `./khoros lab`.

Each exercise is a module with `start(folder)`, which puts the starting point there, and `check(folder)`, which raises
Wrong with one sentence that helps, or returns what can be said of a right answer. Its text is in `lab/README.md`.
"""
