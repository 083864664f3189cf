"""Fuzzing of both readers with images whose structures are changed and whose checksums are right again.

    bases.py       small good images to begin with, made by the real store (rich.lua)
    recipes.py     what is changed: bytes that say which fields of which structures become what, by the schemas
    verdicts.py    what each reader makes of an image, and where the two differ
    corpus.py      recipes that are kept, one a file or one a line
    engines.py     where new recipes come from: atheris if it is installed (guided.py), else mutations led by outcomes
"""
