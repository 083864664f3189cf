-- The bytes on disk, for Lua: sizes, offsets, string.pack formats and constants of the store's format.
-- Generated from formats/ by `python -m khoros.formats.generate`: change the schemas, not this file.
--
-- Each structure is a table { size, format, offsets = {field = bytes from its start}, pack(t), unpack(s, at) }.
-- pack: every field from a table by name (constants may be absent) -> string of `size` bytes.
-- unpack: string, 1-based position (default 1) -> table by name; raises when the string is too short.
-- Neither checks constants, checksums or ranges: that is the reader's duty.

local string_pack <const> = string.pack
local string_unpack <const> = string.unpack

local layout = {}

-- Version and features
layout.FORMAT_MAJOR = 1
layout.FORMAT_MINOR = 0
layout.FEATURES_COMPAT = 0
layout.FEATURES_RO_COMPAT = 0
layout.FEATURES_INCOMPAT = 0

-- Geometry
layout.SECTOR_BYTES = 512
layout.BLOCK_SECTORS = 8
layout.HEAD_LBA_EVEN = 8
layout.HEAD_LBA_ODD = 16
layout.TAIL_BACK_EVEN = 24
layout.TAIL_BACK_ODD = 16
layout.LOG_LBA = 64
layout.SEGMENT_SECTORS_DEFAULT = 2048
layout.SEGMENT_SECTORS_MIN = 256
layout.SEGMENT_SECTORS_MAX = 32768
layout.SEGMENTS_MIN = 8
layout.FRAME_TARGET_BYTES = 131072

-- Superblock state
layout.STATE_IN_USE = 1

-- Kinds of entries
layout.KIND_TABLE = 1
layout.KIND_FUNCTION = 2
layout.KIND_CHUNK = 3
layout.KIND_CELL = 4
layout.KIND_TREE = 5
layout.KIND_TREE_NODE = 6
layout.KIND_MAP = 7
layout.KIND_MAP_NODE = 8
layout.KIND_DELETE = 16
layout.KIND_COMMIT = 32
layout.KIND_CHECKPOINT = 33
layout.KIND_OBJECT_PAGE = 34
layout.KIND_SEGMENT_PAGE = 35
layout.KIND_TRANSACTION_PAGE = 36

-- Segment states
layout.SEGMENT_FREE = 0
layout.SEGMENT_OPEN = 1
layout.SEGMENT_FULL = 2
layout.SEGMENT_PENDING = 3
layout.SEGMENT_BAD = 4

-- Kinds of commits
layout.COMMIT_USER = 0
layout.COMMIT_SYSTEM = 1

-- Extension types of the value codec
layout.EXT_REFERENCE = 1
layout.EXT_PERMANENT = 2
layout.EXT_PACKED = 3
layout.EXT_STRING = 4
layout.EXT_FUNCTION = 5

-- Packed arrays
layout.PACKED_I8 = 1
layout.PACKED_I16 = 2
layout.PACKED_I32 = 3
layout.PACKED_I64 = 4
layout.PACKED_F64 = 5
layout.PACKED_MIN = 16

-- Trees and ordered maps
layout.CHUNK_BYTES = 65536
layout.TREE_LEAF_BYTES = 16384
layout.TREE_FANOUT = 256
layout.TREE_HASH_BITS = 7
layout.TREE_STRING = 0
layout.TREE_TABLE = 1
layout.MAP_NODE_BYTES = 4096
layout.MAP_LEVELS_MAX = 255

-- Limits
layout.ROOT_ID = 1
layout.FIRST_FREE_ID = 2
layout.ID_BITS = 48
layout.ID_MASK = 0xffffffffffff
layout.PLACE_UNIT_BYTES = 8
layout.PAGE_FANOUT = 256
layout.PAGE_LEVEL_SHIFT = 44
layout.LEVELS_MAX = 6
layout.MESSAGE_BYTES_MAX = 4096
layout.LABEL_BYTES = 64
layout.SNAPSHOTS_MAX = 64
layout.REPLAY_SEGMENTS_MAX = 16

-- Partition types
layout.MBR_TYPE = 75

-- Partition type of a store in a GPT, in the usual notation
layout.GPT_TYPE_GUID = "8b0c4c2e-6f52-4a6e-9d5a-4b686f726f73"

layout.superblock = {
  size = 512,
  format = "<c8I2I2I4c16c16I8I8I8I4I4I8I8I4I4I8I8I8I4I4I4I4I8I4I4I8I8I8I8I8I4I4I8I8c64c220I4",
  constants = {magic = "KHOROSSB", header_bytes = 512, reserved_1 = 0, reserved_2 = ("\0"):rep(220)},
  offsets = {
    magic = 0,
    format_major = 8,
    format_minor = 10,
    header_bytes = 12,
    uuid = 16,
    lineage = 32,
    epoch = 48,
    own_lba = 56,
    generation = 64,
    parent_crc = 72,
    segment_sectors = 76,
    total_sectors = 80,
    log_lba = 88,
    segment_count = 96,
    append_sectors = 100,
    features_compat = 104,
    features_ro_compat = 112,
    features_incompat = 120,
    incarnation = 128,
    incarnation_claimed = 132,
    state = 136,
    replay_next_segment = 140,
    checkpoint_tag = 144,
    checkpoint_payload_bytes = 152,
    checkpoint_crc = 156,
    replay_lba = 160,
    replay_segment_sequence = 168,
    replay_lsn = 176,
    replay_sequence = 184,
    replay_transaction = 192,
    replay_parent_crc = 200,
    reserved_1 = 204,
    created_time = 208,
    written_time = 216,
    label = 224,
    reserved_2 = 288,
    crc = 508,
  },
}

function layout.superblock.pack(t)
  return string_pack(layout.superblock.format,
    t.magic or "KHOROSSB",
    t.format_major,
    t.format_minor,
    t.header_bytes or 512,
    t.uuid,
    t.lineage,
    t.epoch,
    t.own_lba,
    t.generation,
    t.parent_crc,
    t.segment_sectors,
    t.total_sectors,
    t.log_lba,
    t.segment_count,
    t.append_sectors,
    t.features_compat,
    t.features_ro_compat,
    t.features_incompat,
    t.incarnation,
    t.incarnation_claimed,
    t.state,
    t.replay_next_segment,
    t.checkpoint_tag,
    t.checkpoint_payload_bytes,
    t.checkpoint_crc,
    t.replay_lba,
    t.replay_segment_sequence,
    t.replay_lsn,
    t.replay_sequence,
    t.replay_transaction,
    t.replay_parent_crc,
    t.reserved_1 or 0,
    t.created_time,
    t.written_time,
    t.label,
    t.reserved_2 or ("\0"):rep(220),
    t.crc)
end

function layout.superblock.unpack(s, at)
  local magic,
    format_major,
    format_minor,
    header_bytes,
    uuid,
    lineage,
    epoch,
    own_lba,
    generation,
    parent_crc,
    segment_sectors,
    total_sectors,
    log_lba,
    segment_count,
    append_sectors,
    features_compat,
    features_ro_compat,
    features_incompat,
    incarnation,
    incarnation_claimed,
    state,
    replay_next_segment,
    checkpoint_tag,
    checkpoint_payload_bytes,
    checkpoint_crc,
    replay_lba,
    replay_segment_sequence,
    replay_lsn,
    replay_sequence,
    replay_transaction,
    replay_parent_crc,
    reserved_1,
    created_time,
    written_time,
    label,
    reserved_2,
    crc
    = string_unpack(layout.superblock.format, s, at)
  return {
    magic = magic,
    format_major = format_major,
    format_minor = format_minor,
    header_bytes = header_bytes,
    uuid = uuid,
    lineage = lineage,
    epoch = epoch,
    own_lba = own_lba,
    generation = generation,
    parent_crc = parent_crc,
    segment_sectors = segment_sectors,
    total_sectors = total_sectors,
    log_lba = log_lba,
    segment_count = segment_count,
    append_sectors = append_sectors,
    features_compat = features_compat,
    features_ro_compat = features_ro_compat,
    features_incompat = features_incompat,
    incarnation = incarnation,
    incarnation_claimed = incarnation_claimed,
    state = state,
    replay_next_segment = replay_next_segment,
    checkpoint_tag = checkpoint_tag,
    checkpoint_payload_bytes = checkpoint_payload_bytes,
    checkpoint_crc = checkpoint_crc,
    replay_lba = replay_lba,
    replay_segment_sequence = replay_segment_sequence,
    replay_lsn = replay_lsn,
    replay_sequence = replay_sequence,
    replay_transaction = replay_transaction,
    replay_parent_crc = replay_parent_crc,
    reserved_1 = reserved_1,
    created_time = created_time,
    written_time = written_time,
    label = label,
    reserved_2 = reserved_2,
    crc = crc,
  }
end

layout.frame_header = {
  size = 96,
  format = "<c8I8I8I8I8I8I8I8I4I4I4I4I4I4I4I4",
  constants = {magic = "KHOROSFR", reserved = 0},
  offsets = {
    magic = 0,
    epoch = 8,
    lba = 16,
    lsn = 24,
    segment_sequence = 32,
    generation = 40,
    durable_lsn = 48,
    sequence = 56,
    incarnation = 64,
    next_segment = 68,
    parent_crc = 72,
    payload_bytes = 76,
    entry_count = 80,
    payload_crc = 84,
    reserved = 88,
    header_crc = 92,
  },
}

function layout.frame_header.pack(t)
  return string_pack(layout.frame_header.format,
    t.magic or "KHOROSFR",
    t.epoch,
    t.lba,
    t.lsn,
    t.segment_sequence,
    t.generation,
    t.durable_lsn,
    t.sequence,
    t.incarnation,
    t.next_segment,
    t.parent_crc,
    t.payload_bytes,
    t.entry_count,
    t.payload_crc,
    t.reserved or 0,
    t.header_crc)
end

function layout.frame_header.unpack(s, at)
  local magic,
    epoch,
    lba,
    lsn,
    segment_sequence,
    generation,
    durable_lsn,
    sequence,
    incarnation,
    next_segment,
    parent_crc,
    payload_bytes,
    entry_count,
    payload_crc,
    reserved,
    header_crc
    = string_unpack(layout.frame_header.format, s, at)
  return {
    magic = magic,
    epoch = epoch,
    lba = lba,
    lsn = lsn,
    segment_sequence = segment_sequence,
    generation = generation,
    durable_lsn = durable_lsn,
    sequence = sequence,
    incarnation = incarnation,
    next_segment = next_segment,
    parent_crc = parent_crc,
    payload_bytes = payload_bytes,
    entry_count = entry_count,
    payload_crc = payload_crc,
    reserved = reserved,
    header_crc = header_crc,
  }
end

layout.entry_header = {
  size = 16,
  format = "<I8I4I4",
  offsets = {
    tag = 0,
    payload_bytes = 8,
    crc = 12,
  },
}

function layout.entry_header.pack(t)
  return string_pack(layout.entry_header.format,
    t.tag,
    t.payload_bytes,
    t.crc)
end

function layout.entry_header.unpack(s, at)
  local tag,
    payload_bytes,
    crc
    = string_unpack(layout.entry_header.format, s, at)
  return {
    tag = tag,
    payload_bytes = payload_bytes,
    crc = crc,
  }
end

layout.pointer = {
  size = 16,
  format = "<I8I4I4",
  offsets = {
    tag = 0,
    payload_bytes = 8,
    crc = 12,
  },
}

function layout.pointer.pack(t)
  return string_pack(layout.pointer.format,
    t.tag,
    t.payload_bytes,
    t.crc)
end

function layout.pointer.unpack(s, at)
  local tag,
    payload_bytes,
    crc
    = string_unpack(layout.pointer.format, s, at)
  return {
    tag = tag,
    payload_bytes = payload_bytes,
    crc = crc,
  }
end

layout.commit = {
  size = 80,
  format = "<I8I8I8I8I8I8I4I4I4I4I8I4I4",
  offsets = {
    sequence = 0,
    transaction = 8,
    time = 16,
    entry_count = 24,
    content_bytes = 32,
    next_id = 40,
    content_crc = 48,
    parent_crc = 52,
    commit_kind = 56,
    message_bytes = 60,
    checkpoint_tag = 64,
    checkpoint_payload_bytes = 72,
    checkpoint_crc = 76,
  },
}

function layout.commit.pack(t)
  return string_pack(layout.commit.format,
    t.sequence,
    t.transaction,
    t.time,
    t.entry_count,
    t.content_bytes,
    t.next_id,
    t.content_crc,
    t.parent_crc,
    t.commit_kind,
    t.message_bytes,
    t.checkpoint_tag,
    t.checkpoint_payload_bytes,
    t.checkpoint_crc)
end

function layout.commit.unpack(s, at)
  local sequence,
    transaction,
    time,
    entry_count,
    content_bytes,
    next_id,
    content_crc,
    parent_crc,
    commit_kind,
    message_bytes,
    checkpoint_tag,
    checkpoint_payload_bytes,
    checkpoint_crc
    = string_unpack(layout.commit.format, s, at)
  return {
    sequence = sequence,
    transaction = transaction,
    time = time,
    entry_count = entry_count,
    content_bytes = content_bytes,
    next_id = next_id,
    content_crc = content_crc,
    parent_crc = parent_crc,
    commit_kind = commit_kind,
    message_bytes = message_bytes,
    checkpoint_tag = checkpoint_tag,
    checkpoint_payload_bytes = checkpoint_payload_bytes,
    checkpoint_crc = checkpoint_crc,
  }
end

layout.checkpoint = {
  size = 160,
  format = "<I8I8I8I8I8I8I8I8I8I8I4I4I8I4I4I8I4I4I8I4I4I4I4I4I4I4I4",
  offsets = {
    sequence = 0,
    transaction = 8,
    time = 16,
    frame_lba = 24,
    next_id = 32,
    object_count = 40,
    object_bytes = 48,
    keep_transactions = 56,
    oldest_transaction = 64,
    objects_tag = 72,
    objects_payload_bytes = 80,
    objects_crc = 84,
    segments_tag = 88,
    segments_payload_bytes = 96,
    segments_crc = 100,
    transactions_tag = 104,
    transactions_payload_bytes = 112,
    transactions_crc = 116,
    previous_tag = 120,
    previous_payload_bytes = 128,
    previous_crc = 132,
    object_levels = 136,
    segment_levels = 140,
    transaction_levels = 144,
    incarnation = 148,
    open_segment = 152,
    snapshot_count = 156,
  },
}

function layout.checkpoint.pack(t)
  return string_pack(layout.checkpoint.format,
    t.sequence,
    t.transaction,
    t.time,
    t.frame_lba,
    t.next_id,
    t.object_count,
    t.object_bytes,
    t.keep_transactions,
    t.oldest_transaction,
    t.objects_tag,
    t.objects_payload_bytes,
    t.objects_crc,
    t.segments_tag,
    t.segments_payload_bytes,
    t.segments_crc,
    t.transactions_tag,
    t.transactions_payload_bytes,
    t.transactions_crc,
    t.previous_tag,
    t.previous_payload_bytes,
    t.previous_crc,
    t.object_levels,
    t.segment_levels,
    t.transaction_levels,
    t.incarnation,
    t.open_segment,
    t.snapshot_count)
end

function layout.checkpoint.unpack(s, at)
  local sequence,
    transaction,
    time,
    frame_lba,
    next_id,
    object_count,
    object_bytes,
    keep_transactions,
    oldest_transaction,
    objects_tag,
    objects_payload_bytes,
    objects_crc,
    segments_tag,
    segments_payload_bytes,
    segments_crc,
    transactions_tag,
    transactions_payload_bytes,
    transactions_crc,
    previous_tag,
    previous_payload_bytes,
    previous_crc,
    object_levels,
    segment_levels,
    transaction_levels,
    incarnation,
    open_segment,
    snapshot_count
    = string_unpack(layout.checkpoint.format, s, at)
  return {
    sequence = sequence,
    transaction = transaction,
    time = time,
    frame_lba = frame_lba,
    next_id = next_id,
    object_count = object_count,
    object_bytes = object_bytes,
    keep_transactions = keep_transactions,
    oldest_transaction = oldest_transaction,
    objects_tag = objects_tag,
    objects_payload_bytes = objects_payload_bytes,
    objects_crc = objects_crc,
    segments_tag = segments_tag,
    segments_payload_bytes = segments_payload_bytes,
    segments_crc = segments_crc,
    transactions_tag = transactions_tag,
    transactions_payload_bytes = transactions_payload_bytes,
    transactions_crc = transactions_crc,
    previous_tag = previous_tag,
    previous_payload_bytes = previous_payload_bytes,
    previous_crc = previous_crc,
    object_levels = object_levels,
    segment_levels = segment_levels,
    transaction_levels = transaction_levels,
    incarnation = incarnation,
    open_segment = open_segment,
    snapshot_count = snapshot_count,
  }
end

layout.snapshot = {
  size = 136,
  format = "<c64I8I8I8I8I8I4I4I8I4I4I4I4",
  offsets = {
    name = 0,
    transaction = 64,
    time = 72,
    object_count = 80,
    object_bytes = 88,
    objects_tag = 96,
    objects_payload_bytes = 104,
    objects_crc = 108,
    segments_tag = 112,
    segments_payload_bytes = 120,
    segments_crc = 124,
    object_levels = 128,
    segment_levels = 132,
  },
}

function layout.snapshot.pack(t)
  return string_pack(layout.snapshot.format,
    t.name,
    t.transaction,
    t.time,
    t.object_count,
    t.object_bytes,
    t.objects_tag,
    t.objects_payload_bytes,
    t.objects_crc,
    t.segments_tag,
    t.segments_payload_bytes,
    t.segments_crc,
    t.object_levels,
    t.segment_levels)
end

function layout.snapshot.unpack(s, at)
  local name,
    transaction,
    time,
    object_count,
    object_bytes,
    objects_tag,
    objects_payload_bytes,
    objects_crc,
    segments_tag,
    segments_payload_bytes,
    segments_crc,
    object_levels,
    segment_levels
    = string_unpack(layout.snapshot.format, s, at)
  return {
    name = name,
    transaction = transaction,
    time = time,
    object_count = object_count,
    object_bytes = object_bytes,
    objects_tag = objects_tag,
    objects_payload_bytes = objects_payload_bytes,
    objects_crc = objects_crc,
    segments_tag = segments_tag,
    segments_payload_bytes = segments_payload_bytes,
    segments_crc = segments_crc,
    object_levels = object_levels,
    segment_levels = segment_levels,
  }
end

layout.segment_record = {
  size = 16,
  format = "<I8I4I4",
  offsets = {
    tag = 0,
    live_bytes = 8,
    age = 12,
  },
}

function layout.segment_record.pack(t)
  return string_pack(layout.segment_record.format,
    t.tag,
    t.live_bytes,
    t.age)
end

function layout.segment_record.unpack(s, at)
  local tag,
    live_bytes,
    age
    = string_unpack(layout.segment_record.format, s, at)
  return {
    tag = tag,
    live_bytes = live_bytes,
    age = age,
  }
end

return layout
