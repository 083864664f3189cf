"""Mutants: the sources with one small thing wrong. The tests have to notice; where they need not, a list says why.

    mutant.py             what a mutant is, how it is named, applied and taken back
    lua_operators.py      every mutant that a Lua file has, by generic operators over its tokens and lines
    python_operators.py   the same of a Python file, by operators over its syntax tree
    subjects.py           which files make up commit, recovery, cleaner, flush and reader, and which tests look at them
    killers.py            power cuts, damages and both readers' verdicts in a few seconds: tests that only run here
    verdict.py            one mutant: a child process runs the tests, the quickest killers first, until one fails
    campaign.py           draws by a seed, goes on where it ended, keeps totals in build/mutants.json
    explained.txt         mutants that nothing can notice, each with the reason
    __main__.py           ./khoros test --mutants
"""
