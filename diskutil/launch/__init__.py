"""The QEMU launcher: a machine that boots Khoros, with its terminal or with a program to run.

- `cli`: what people type (`khoros run`, `khoros debug`); the boundary where errors become one line and a status.
- `machine`: a description of the machine → QEMU's arguments. Pure.
- `accelerator`: whether KVM really works here; tried once and remembered.
- `frames`: the protocol of the second serial port: text for stderr and the exit status. Pure.
- `process`: QEMU as a child that never outlives the launcher, and what its failures mean.
- `program`: run Lua in the guest: bytes to stdout, frames decoded, status passed on.
- `terminal`: the interactive machine on this terminal.
- `images`: which disk images a machine gets, and making those that do not exist.
"""
