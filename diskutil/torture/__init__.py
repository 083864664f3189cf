"""Torture of the store: the real lua/fs on simulated disks that fail in every way a real one does, and the judges of what is left.

    runtime.py    Lua states that run the sources under lua/
    mounted.py    a disk in memory made from the schemas, and the store mounted on it
    disk.py       the simulated disk; states in which a power cut can leave it. disk.lua: the same for thousands of states
    crash.py      workloads, models of what they must leave, the oracle (crash.lua)

It needs lupa (Lua 5.5 in this process) and the Lua sources of a clone; both are looked for when a Lua state is made.
"""
