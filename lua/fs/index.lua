-- A copy-on-write radix tree over pages of the log: key → 16-byte slot. Object index, transaction table, segment table.
--
-- A page has 256 slots; the lowest byte of a key is the slot in the leaf, the next byte the slot in its parent, and so on
-- for `levels` levels. Changes since the last checkpoint are held aside (leaf number → slot → value) and looked at first;
-- `write` makes the new pages of a checkpoint out of them, leaves before parents, and `adopt` takes the new root once the
-- checkpoint is durable. Until then everything answers as before.
--
-- Promises: a bounded number of pages in memory; a page is believed only if it is the entry that its parent points to
-- (id = level and number, kind, length, CRC). A page without a used slot is not stored.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"

local index <const> = {}

local FANOUT <const> = layout.PAGE_FANOUT
local SLOT_BITS <const> = 8
local SLOT_MASK <const> = FANOUT - 1
local SLOT_BYTES <const> = layout.pointer.size
local PAGE_BYTES <const> = FANOUT * SLOT_BYTES
local NOTHING <const> = entry.NOTHING
local EMPTY_PAGE <const> = NOTHING:rep(FANOUT)
local string_sub <const> = string.sub
assert(FANOUT == 1 << SLOT_BITS, "a slot is a byte of the key")

--- Bytes that a page takes in a frame.
index.PAGE_ENTRY_BYTES = entry.size(PAGE_BYTES)

local methods <const> = {}
methods.__index = methods

--- index.new{kind=, reader=, root=pointer, levels=, cache= | shared=} → tree. `kind` is the kind of its pages. `cache` holds
--- pages by their ids and is this tree's own: the quickest. `shared` holds {id=, page=} by the pointer to it: for trees that
--- have most of their pages in common.
function index.new(options)
  return setmetatable({
    kind = options.kind, reader = options.reader, cache = options.cache, shared = options.shared,
    root = options.root, levels = options.levels, floor = 0,
    changes = {}, changed_leaves = 0,
  }, methods)
end

local function page_id(level, number)
  return level << layout.PAGE_LEVEL_SHIFT | number
end

--- Reads the page that `pointer` points to.
local function load_page(self, pointer, id)
  local payload <const>, err = self.reader:entry(pointer, id, self.kind)
  if not payload then return nil, err end
  if #payload ~= PAGE_BYTES then
    return errors.new("corrupt", ("index page %#x: expected %d bytes, found %d"):format(id, PAGE_BYTES, #payload),
      {id = id, expected = PAGE_BYTES, found = #payload})
  end
  return payload
end

--- The page that `pointer` points to, by way of a cache that other trees use, too: what they believed of a page they believed
--- of the one with their id, so a page in the wrong place is refused all the same.
local function shared_page(self, pointer, id)
  local known <const> = self.shared.get(pointer)
  if known and known.id == id then return known.page end
  local page <const>, err = load_page(self, pointer, id)
  if page then self.shared.put(pointer, {id = id, page = page}) end
  return page, err
end

--- tree:page(level, number) → 4096 bytes as of the last checkpoint | nil, err. A page that is not stored is all zeros.
function methods:page(level, number)
  if level >= self.levels then return EMPTY_PAGE end
  local id <const> = page_id(level, number)
  local cached <const> = self.cache and self.cache.get(id)
  if cached then return cached end
  local pointer <const>, problem = self:page_pointer(level, number)
  if not pointer then return nil, problem end
  if pointer == NOTHING then return EMPTY_PAGE end
  if self.shared then return shared_page(self, pointer, id) end
  local page <const>, err = load_page(self, pointer, id)
  if page then self.cache.put(id, page) end
  return page, err
end

--- tree:find(key) → 16 bytes | false when there is none | nil, err.
function methods:find(key)
  if key < self.floor then return false end
  local leaf <const>, slot <const> = key >> SLOT_BITS, key & SLOT_MASK
  local changed <const> = self.changes[leaf]
  if changed then
    local value <const> = changed[slot + 1]
    if value ~= nil then return value end
  end
  return self:stored(key)
end

--- tree:finder() → a function that answers as `find`, quicker for keys that stand next to each other. Good until the tree changes.
function methods:finder()
  local last, changed, page
  return function(key)
    if key < self.floor then return false end
    local leaf <const>, slot <const> = key >> SLOT_BITS, key & SLOT_MASK
    if leaf ~= last then last, changed, page = leaf, self.changes[leaf], nil end
    local value
    if changed then value = changed[slot + 1] end
    if value ~= nil then return value end
    if page == nil then
      local stored <const>, err = self:page(0, leaf)
      if not stored then return nil, err end
      page = stored ~= EMPTY_PAGE and stored -- once for each leaf: Lua compares long strings byte by byte, even one with itself
    end
    if not page then return false end
    value = string_sub(page, slot * SLOT_BYTES + 1, slot * SLOT_BYTES + SLOT_BYTES)
    return value ~= NOTHING and value
  end
end

--- tree:stored(key) → as `find`, but as of the last checkpoint.
function methods:stored(key)
  local page <const>, err = self:page(0, key >> SLOT_BITS)
  if not page then return nil, err end
  local at <const> = (key & SLOT_MASK) * SLOT_BYTES
  local value <const> = string_sub(page, at + 1, at + SLOT_BYTES)
  return value ~= NOTHING and value
end

--- The held changes of a leaf, slot → value.
local function changes_of(self, leaf)
  local changed = self.changes[leaf]
  if not changed then
    changed = {}
    self.changes[leaf] = changed
    self.changed_leaves = self.changed_leaves + 1
  end
  return changed
end

--- tree:set(key, value) holds a change until the next checkpoint; false removes.
function methods:set(key, value)
  changes_of(self, key >> SLOT_BITS)[(key & SLOT_MASK) + 1] = value
end

--- tree:set_all(keys, values, count): `set` for each of the first `count` keys.
function methods:set_all(keys, values, count)
  local last, changed
  for position = 1, count do
    local key <const> = keys[position]
    local leaf <const> = key >> SLOT_BITS
    if leaf ~= last then last, changed = leaf, changes_of(self, leaf) end
    changed[(key & SLOT_MASK) + 1] = values[position]
  end
end

--- tree:remove_before(key): every key below is removed, without a look at them one by one.
function methods:remove_before(key)
  if key <= self.floor then return end
  self.floor = key
  -- The leaf at the border is written anew, and with it the path above it, from which everything before is cut off.
  local border <const>, kept <const> = key >> SLOT_BITS, {}
  for leaf, slots in pairs(self.changes) do
    if leaf >= border then kept[leaf] = slots end
  end
  kept[border] = kept[border] or {}
  for slot = 1, key & SLOT_MASK do kept[border][slot] = nil end
  self.changes, self.changed_leaves = kept, 0
  for _ in pairs(kept) do self.changed_leaves = self.changed_leaves + 1 end
end

--- tree:discard() forgets the held changes.
function methods:discard()
  self.changes, self.changed_leaves, self.floor = {}, 0, 0
end

--- Levels that a tree with that largest key has.
local function levels_for(key)
  local levels = 1
  while key >> (SLOT_BITS * levels) ~= 0 do levels = levels + 1 end
  return levels
end

--- Levels after the held changes are written: never fewer than now, while anything is left.
local function levels_after(self)
  local largest = -1
  for leaf, slots in pairs(self.changes) do
    for slot, value in pairs(slots) do
      local key <const> = leaf << SLOT_BITS | slot - 1
      if value and key > largest then largest = key end
    end
  end
  return largest < 0 and self.levels or math.max(self.levels, levels_for(largest))
end

--- tree:pages_bound(more_leaves) → at most how many pages the next `write` makes if `more_leaves` further leaves, under
--- keys below `key_limit`, change before it.
function methods:pages_bound(more_leaves, key_limit)
  local leaves <const> = self.changed_leaves + more_leaves
  if leaves == 0 then return 0 end
  local levels <const> = math.max(self.levels, levels_for(math.max(key_limit - 1, 0)))
  local total, width = 0, (math.max(key_limit - 1, 0) >> SLOT_BITS) + 1
  for _ = 1, levels do
    total = total + math.min(leaves, width)
    width = (width - 1 >> SLOT_BITS) + 1
  end
  -- Growing in levels also writes pages above leaves that did not change.
  return total + (levels - self.levels)
end

--- tree:path_bound(more_leaves, key_limit) → at most how many of these pages stand above the leaves.
function methods:path_bound(more_leaves, key_limit)
  local total <const> = self:pages_bound(more_leaves, key_limit)
  return total - math.min(total, self.changed_leaves + more_leaves, (math.max(key_limit - 1, 0) >> SLOT_BITS) + 1)
end

local function sorted_keys(map)
  local keys <const> = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- The page with some slots (1-based) replaced; `visit(old, new)` sees each, NOTHING standing for none.
local function splice(page, slots, visit)
  local pieces <const>, at, is_new <const> = {}, 1, page == EMPTY_PAGE
  for _, slot in ipairs(sorted_keys(slots)) do
    local first <const> = (slot - 1) * SLOT_BYTES + 1
    local value <const> = slots[slot] or NOTHING
    if visit then visit(is_new and NOTHING or string_sub(page, first, first + SLOT_BYTES - 1), value) end
    if first > at then pieces[#pieces + 1] = string_sub(page, at, first - 1) end
    pieces[#pieces + 1] = value
    at = first + SLOT_BYTES
  end
  pieces[#pieces + 1] = string_sub(page, at)
  return table.concat(pieces)
end

--- Iterates over slot (from 0), value of a page's used slots; runs of unused ones cost next to nothing.
local function used_slots(page)
  local at = 1
  return function()
    local byte <const> = at <= PAGE_BYTES and page:find("[^\0]", at)
    if not byte then return nil end
    local slot <const> = (byte - 1) // SLOT_BYTES
    at = (slot + 1) * SLOT_BYTES + 1
    return slot, string_sub(page, at - SLOT_BYTES, at - 1)
  end
end

--- Visits every page below (level, number), and that page itself, whose pointer is given. Returns true | nil, err.
local function walk_pages(self, level, number, pointer, visit)
  visit(pointer)
  if level == 0 then return true end
  local page <const>, err = self:page(level, number)
  if not page then return nil, err end
  for slot, below in used_slots(page) do
    if level == 1 then
      visit(below)
    else
      local done <const>, problem = walk_pages(self, level - 1, number << SLOT_BITS | slot, below, visit)
      if not done then return nil, problem end
    end
  end
  return true
end

--- Cuts off what lies before the floor in the page at its border. Returns the page | nil, err.
local function cut(self, level, number, page, visit_page)
  local slots <const> = self.floor >> (SLOT_BITS * level) & SLOT_MASK
  if slots == 0 then return page end
  if level > 0 and visit_page then
    for slot, pointer in used_slots(string_sub(page, 1, slots * SLOT_BYTES)) do
      local done <const>, err = walk_pages(self, level - 1, number << SLOT_BITS | slot, pointer,
        function(gone) visit_page(gone, NOTHING) end)
      if not done then return nil, err end
    end
  end
  return NOTHING:rep(slots) .. string_sub(page, slots * SLOT_BYTES + 1)
end

--- Writes the changed pages of one level through `put`; `visit` sees the slots that change in them. Returns parent number →
--- slot → pointer | nil, err.
local function write_level(self, level, changes, put, visit, visit_page)
  local above <const>, border <const> = {}, self.floor >> (SLOT_BITS * (level + 1))
  for _, number in ipairs(sorted_keys(changes)) do
    if number < border then goto gone end
    local old, err = self:page(level, number)
    if old and number == border and self.floor > 0 then old, err = cut(self, level, number, old, visit_page) end
    if not old then return nil, err end
    local page <const> = splice(old, changes[number], visit)
    local pointer = false
    if page ~= EMPTY_PAGE then
      local problem
      local before <const>, unknown = self:page_pointer(level, number)
      if not before then return nil, unknown end
      pointer, problem = put(page_id(level, number), self.kind, page, before)
      if not pointer then return nil, problem end
    end
    local parent <const> = number >> SLOT_BITS
    above[parent] = above[parent] or {}
    above[parent][(number & SLOT_MASK) + 1] = pointer
    ::gone::
  end
  return above
end

--- Every key of the tree as it is stored lies before the floor: its pages go, the root's own pointer aside. Returns true | nil, err.
local function let_go(self, visit_page)
  if self.levels == 0 or not visit_page then return true end
  return walk_pages(self, self.levels - 1, 0, self.root, function(gone)
    if gone ~= self.root then visit_page(gone, NOTHING) end
  end)
end

--- Hangs the old root into slot 0 of the first new level of a tree that grows, unless the old root itself changed or goes.
--- Returns true | nil, err.
local function hang(self, changes, visit_page)
  if self.floor >> (SLOT_BITS * self.levels) > 0 then return let_go(self, visit_page) end
  changes[0] = changes[0] or {}
  if changes[0][1] == nil then changes[0][1] = self.root end
  return true
end

--- tree:write(put [, visit [, visit_page]]) → {root=, levels=, written={page ids}} | nil, err. Makes the pages of a
--- checkpoint out of the held changes, leaves first. put(id, kind, payload, pointer to what it replaces, NOTHING for none) →
--- pointer | nil, err. visit(old, new) sees every changed slot of a leaf, visit_page(old, new) every pointer to a page that
--- changes, the root's included; NOTHING stands for none. The tree itself answers as before until `adopt`.
function methods:write(put, visit, visit_page)
  local next_root <const> = {root = self.root, levels = self.levels, written = {}}
  if self.changed_leaves == 0 then return next_root end
  local levels = levels_after(self)
  local done, err, changes = true, nil, self.changes
  if self.floor >> (SLOT_BITS * levels) > 0 then
    -- Nothing is added, or the tree would grow so far.
    done, err = let_go(self, visit_page)
    levels, changes = 0, {}
  end
  for level = 0, levels - 1 do
    if level == self.levels and level > 0 then done, err = hang(self, changes, visit_page) end
    if not done then return nil, err end
    for number in pairs(changes) do next_root.written[#next_root.written + 1] = page_id(level, number) end
    changes, err = write_level(self, level, changes, put, level == 0 and visit or level > 0 and visit_page, visit_page)
    if not changes then return nil, err end
  end
  if not done then return nil, err end
  next_root.root = changes[0] and changes[0][1] or NOTHING
  next_root.levels = next_root.root == NOTHING and 0 or levels
  if visit_page then visit_page(self.root, next_root.root) end
  return next_root
end

--- tree:pages_now() → exactly how many pages `write` would make, if none of them becomes empty.
function methods:pages_now()
  if self.changed_leaves == 0 then return 0 end
  local total <const>, level, numbers = {0}, 0, self.changes
  local levels <const> = levels_after(self)
  while level < levels do
    local above <const> = {}
    if level == self.levels and level > 0 then numbers[0] = true end
    for number in pairs(numbers) do
      total[1] = total[1] + 1
      above[number >> SLOT_BITS] = true
    end
    numbers, level = above, level + 1
  end
  return total[1]
end

--- tree:adopt(next_root): the checkpoint that `write` was for is durable; the held changes are in its pages.
function methods:adopt(next_root)
  if self.floor > 0 and self.cache then self.cache.clear() end -- pages that went without being written
  for _, id in ipairs(next_root.written) do
    if self.cache then self.cache.drop(id) end
  end
  self.root, self.levels = next_root.root, next_root.levels
  self:discard()
end

--- Number of some leaf below a stored page | nil, err.
local function leaf_below(self, level, number)
  while level > 0 do
    local page <const>, err = self:page(level, number)
    if not page then return nil, err end
    local used <const> = (page:find("[^\0]") or 1) - 1
    level, number = level - 1, number << SLOT_BITS | used // SLOT_BYTES
  end
  return number
end

--- tree:touch(level, number) → true | nil, err. The page, which is stored, is written anew by the next checkpoint, as it
--- is, so that its place becomes free.
function methods:touch(level, number)
  local leaf <const>, err = leaf_below(self, level, number)
  if not leaf then return nil, err end
  if not self.changes[leaf] then
    self.changes[leaf] = {}
    self.changed_leaves = self.changed_leaves + 1
  end
  return true
end

--- tree:page_pointer(level, number) → pointer to that page as of the last checkpoint, NOTHING if it is not stored | nil, err.
function methods:page_pointer(level, number)
  if level >= self.levels then return NOTHING end
  if level == self.levels - 1 then return number == 0 and self.root or NOTHING end
  local parent <const>, err = self:page(level + 1, number >> SLOT_BITS)
  if not parent then return nil, err end
  local at <const> = (number & SLOT_MASK) * SLOT_BYTES
  return string_sub(parent, at + 1, at + SLOT_BYTES)
end

--- tree:each_page(visit) calls visit(pointer) for every page as of the last checkpoint, without reading leaves; true | nil, err.
function methods:each_page(visit)
  if self.levels == 0 then return true end
  return walk_pages(self, self.levels - 1, 0, self.root, visit)
end

--- tree:each_other_page(like, visit): as each_page, but passes over the pages that the tree `like` has, too, in the same place.
function methods:each_other_page(like, visit)
  local function walk(level, number, pointer)
    visit(pointer)
    if level == 0 then return true end
    local page <const>, err = self:page(level, number)
    local other <const>, problem = like:page(level, number)
    if not page or not other then return nil, err or problem end
    for slot, below in used_slots(page) do
      if string_sub(other, slot * SLOT_BYTES + 1, (slot + 1) * SLOT_BYTES) ~= below then
        local done <const>, why = walk(level - 1, number << SLOT_BITS | slot, below)
        if not done then return nil, why end
      end
    end
    return true
  end
  if self.levels ~= like.levels then return self:each_page(visit) end
  if self.levels == 0 or self.root == like.root then return true end
  return walk(self.levels - 1, 0, self.root)
end

--- tree:next_leaf(number) → number of the first stored leaf from `number` on, its page | false | nil, err.
function methods:next_leaf(number)
  local function search(level, at)
    if level == 0 then return at end
    local page <const>, err = self:page(level, at)
    if not page then return nil, err end
    local first <const> = number >> (SLOT_BITS * (level - 1))
    for slot in used_slots(page) do
      local below <const> = at << SLOT_BITS | slot
      local found, problem = false, nil
      if below >= first then found, problem = search(level - 1, below) end
      if found ~= false then return found, problem end
    end
    return false
  end
  if self.levels == 0 or number >> (SLOT_BITS * (self.levels - 1)) > 0 then return false end
  local leaf <const>, err = search(self.levels - 1, 0)
  if not leaf then return leaf, err end
  local page <const>, problem = self:page(0, leaf)
  return page and leaf, page or problem
end

--- index.each_slot(page) iterates over slot (from 0), value of the used slots of a leaf.
index.each_slot = used_slots

--- tree:each(visit) calls visit(key, value) for every used slot as of the last checkpoint, ascending; true | nil, err.
function methods:each(visit)
  local function walk(level, number)
    local page <const>, err = self:page(level, number)
    if not page then return nil, err end
    for slot, value in used_slots(page) do
      local key <const> = number << SLOT_BITS | slot
      if level == 0 then
        visit(key, value)
      else
        local done <const>, problem = walk(level - 1, key)
        if not done then return nil, problem end
      end
    end
    return true
  end
  if self.levels == 0 then return true end
  return walk(self.levels - 1, 0)
end

return index
