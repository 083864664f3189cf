"""The host's half of Khoros: reads, writes, checks and shows disk images.

From the bottom up: `errors`; `device` and `partition` (where the sectors are); `superblock`, `entries`, `frames`,
`index` (pure parsers of one structure each); `codec` and `values` (what objects hold); `reader` (mount);
`creation` and `writer`; `image` (objects as Python sees them); `check`; `render`; `cli` and `commands`.
Each relies only on what stands before it. Bytes on disk are described in `khoros.formats` and nowhere here.
"""
