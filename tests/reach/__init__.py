"""Coverage: which lines of the store (lua/fs) and of the Python reader the tests reach, and which they do not.

    lua_lines.py       the lines of a Lua file that can be executed; a hook that reports those that are
    python_lines.py    the same of a Python file
    plugin.py          a plugin of pytest that collects both during a run of tests
    report.py          what was reached, as a table and as a list of what was not
    __main__.py        ./khoros test --coverage
"""
