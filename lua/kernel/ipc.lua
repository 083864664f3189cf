-- Messages between processes: mailboxes, requests and their replies, names.
--
--     local ipc = require("kernel.ipc").new(scheduler, core)
--     ipc.send(from, to, message, badge) → true | nil, "dead" | "full" | "too large"
--     ipc.call(from, to, message, badge, seconds)     blocks `from` until the reply | nil, err as its answer
--     ipc.ask(to, message, on_reply)                  the supervisor's own request; on_reply(message | nil, err)
--     ipc.receive(process, seconds, wanted)           blocks `process` until a letter for it arrives
--     ipc.reply(process, request, message) → true | nil, "no such request"
--     ipc.notify_end(process, id, how, message)       a letter from the supervisor itself: its child has ended
--     ipc.unread(process)                             the letter it took last could not be unpacked: its sender gets an error
--     ipc.ended(process)                              its callers learn that it is dead
-- A letter arrives as the answer ("message", sender's id, request id | nil, badge, values…) or ("ended", id, how, message).
--
-- Promises: a mailbox holds at most MAILBOX_LETTERS letters and MAILBOX_BYTES bytes, whoever sends; a letter larger than
-- that is refused; nobody waits for the dead; letters from one sender arrive in the order in which they were sent.
-- What waits in a mailbox is held by the supervisor; it is charged to the receiver when that takes it. Requests have as much
-- room again as letters that nobody waits for: a flood of the latter does not keep a client from its service. A caller has
-- one request at a time, and one that it gives up is taken back. No mailbox takes the last FREE_PART of the machine's memory.
-- The processes of one account (kernel.processes) have at most POSTED_LETTERS letters and POSTED_BYTES unread in all mailboxes
-- together, and fill at most half of one: whoever floods shuts out himself.

local ipc <const> = {}

local MAILBOX_LETTERS <const> = 1024
local MAILBOX_BYTES <const> = 16 * 1024 * 1024
local FREE_PART <const> = 16
local SMALL_BYTES <const> = 4096
local POSTED_LETTERS <const>, POSTED_BYTES <const> = 4096, 16 * 1024 * 1024
local SHARE_LETTERS <const> = MAILBOX_LETTERS // 2
local HOLES <const> = 32
local NO_ROOM <const> = "the receiver had not enough memory for it"
local SUPERVISOR <const> = {id = 0}
local ENDS_MOST <const> = 64              -- unread letters about ended children; older ones make room

function ipc.new(scheduler, core)
  local requests <const> = {}             -- id → {caller = process | on_reply = function, server = process}
  local last_request = 0
  local self <const> = {}

  function self.adopt(process)
    process.mailbox = {first = 1, last = 0, letters = 0, bytes = 0, ends = 0, shares = {}}
    process.serving = {}
  end

  local function count_posted(mailbox, account, sign, bytes)
    account.letters = account.letters + sign
    account.bytes = account.bytes + sign * bytes
    local share <const> = (mailbox.shares[account] or 0) + sign
    mailbox.shares[account] = share > 0 and share or nil
  end

  local function count_letter(mailbox, letter, sign)
    if letter.is_end then
      mailbox.ends = mailbox.ends + sign
      return
    end
    mailbox.letters = mailbox.letters + sign
    mailbox.bytes = mailbox.bytes + sign * letter.bytes
    if letter.account then count_posted(mailbox, letter.account, sign, letter.bytes) end
  end

  local function put_letter(mailbox, letter)
    mailbox.last = mailbox.last + 1
    letter.place = mailbox.last
    mailbox[mailbox.last] = letter
    count_letter(mailbox, letter, 1)
  end

  -- Letters taken out of turn leave holes; with too many of them, looking for a letter would take ever longer.
  local function close_holes(mailbox)
    local last = mailbox.first - 1
    for place = mailbox.first, mailbox.last do
      local letter <const> = mailbox[place]
      mailbox[place] = nil
      if letter then
        last = last + 1
        mailbox[last], letter.place = letter, last
      end
    end
    mailbox.last = last
  end

  local function remove_letter(mailbox, letter)
    mailbox[letter.place] = nil
    letter.place = nil
    while mailbox.first <= mailbox.last and not mailbox[mailbox.first] do mailbox.first = mailbox.first + 1 end
    count_letter(mailbox, letter, -1)
    if mailbox.last - mailbox.first >= 2 * (mailbox.letters + mailbox.ends) + HOLES then close_holes(mailbox) end
  end

  local function take_letter(mailbox, wanted)
    for place = mailbox.first, mailbox.last do
      local letter <const> = mailbox[place]
      if letter and (wanted == nil or letter[2] == wanted) then
        remove_letter(mailbox, letter)
        return letter
      end
    end
  end

  local function is_machine_full(bytes)
    return bytes > SMALL_BYTES and core and core.free_bytes() < core.memory_bytes // FREE_PART
  end

  -- `rooms`: 1 for letters, 2 for requests.
  local function admits(mailbox, bytes, rooms)
    if bytes > MAILBOX_BYTES then return nil, "too large" end
    if mailbox.letters >= rooms * MAILBOX_LETTERS or mailbox.bytes + bytes > rooms * MAILBOX_BYTES
      or is_machine_full(bytes) then
      return nil, "full"
    end
    return true
  end

  -- May a process of this account leave one more unread?
  local function may_post(account, mailbox, bytes)
    return not account or account.letters < POSTED_LETTERS and account.bytes + bytes <= POSTED_BYTES
      and (mailbox.shares[account] or 0) < SHARE_LETTERS
  end

  -- A message that goes nowhere: its memory comes back now, not when the supervisor collects its garbage.
  local function refuse(message, reason)
    if message then message:free() end
    return nil, reason
  end

  -- Hands the letter over now if the process waits for one like it.
  local function deliver(process, letter)
    local wait <const> = process.receiving
    if wait and process.state == "waiting" and (wait.wanted == nil or wait.wanted == letter[2]) then
      process.receiving = nil
      process.reading = letter[3]
      if scheduler.wake(process, table.unpack(letter, 1, letter.n)) then return true end
      return nil, NO_ROOM
    end
    put_letter(process.mailbox, letter)
    return true
  end

  local function new_letter(from, request, badge, message)
    return {
      "message", from.id, request, badge, message, n = 5, bytes = message and message:size() or 0, account = from.account,
    }
  end

  function self.send(from, to, message, badge)
    if not to or to.state == "ended" then return refuse(message, "dead") end
    local letter <const> = new_letter(from, nil, badge, message)
    local admitted <const>, reason <const> = admits(to.mailbox, letter.bytes, 1)
    if not admitted then return refuse(message, reason) end
    if not may_post(from.account, to.mailbox, letter.bytes) then return refuse(message, "full") end
    return deliver(to, letter)
  end

  local function new_request(entry, to)
    last_request = last_request + 1
    entry.server = to
    requests[last_request] = entry
    to.serving[last_request] = true
    return last_request
  end

  local function drop_request(id)
    local entry <const> = requests[id]
    requests[id] = nil
    entry.server.serving[id] = nil
    local letter <const> = entry.letter
    if letter.place and entry.server.mailbox then
      remove_letter(entry.server.mailbox, letter)
      refuse(letter[5])
    end
    if entry.caller then entry.caller.calling = nil end
    return entry
  end

  -- Gives the reply to whoever asked.
  local function finish(id, ...)
    local entry <const> = drop_request(id)
    if entry.on_reply then return entry.on_reply(...) end
    scheduler.wake(entry.caller, ...)
  end

  local function post_request(entry, from, to, message, badge)
    if not to or to.state == "ended" then return refuse(message, "dead") end
    local bytes <const> = message and message:size() or 0
    local admitted <const>, reason <const> = admits(to.mailbox, bytes, 2)
    if not admitted then return refuse(message, reason) end
    local id <const> = new_request(entry, to)
    entry.letter = new_letter(from, id, badge, message)
    local delivered <const>, problem <const> = deliver(to, entry.letter)
    if delivered then return id end
    drop_request(id)
    return nil, problem
  end

  --- → true when `from` now waits, else nil, err.
  function self.call(from, to, message, badge, seconds)
    if from == to then return refuse(message, "a process cannot call itself") end
    scheduler.block(from)
    local id <const>, reason <const> = post_request({caller = from}, from, to, message, badge)
    if not id then
      return nil, reason
    end
    from.calling = id
    if seconds then scheduler.block(from, seconds, function() finish(id, nil, "timeout") end) end
    return true
  end

  function self.ask(to, message, on_reply)
    local id <const>, reason <const> = post_request({on_reply = on_reply}, SUPERVISOR, to, message, 0)
    if not id then on_reply(nil, reason) end
    return id
  end

  --- Gives up on a request of ask().
  function self.abandon(id)
    if requests[id] then finish(id, nil, "timeout") end
  end

  function self.reply(process, id, message)
    local entry <const> = requests[id]
    if not entry or entry.server ~= process then return refuse(message, "no such request") end
    finish(id, message)
    return true
  end

  --- → the letter's values, or nothing when `process` waits now.
  function self.receive(process, seconds, wanted)
    local letter <const> = take_letter(process.mailbox, wanted)
    if letter then
      process.reading = letter[3]
      return table.unpack(letter, 1, letter.n)
    end
    if seconds and seconds <= 0 then return nil, "timeout" end
    process.receiving = {wanted = wanted}
    scheduler.block(process, seconds, function()
      process.receiving = nil
      scheduler.wake(process, nil, "timeout")
    end)
  end

  local function drop_oldest_end(mailbox)
    for place = mailbox.first, mailbox.last do
      local letter <const> = mailbox[place]
      if letter and letter.is_end then return remove_letter(mailbox, letter) end
    end
  end

  function self.notify_end(process, id, how, message)
    if process.state == "ended" then return end
    if process.mailbox.ends >= ENDS_MOST then drop_oldest_end(process.mailbox) end
    deliver(process, {"ended", id, how, message, n = 4, is_end = true})
  end

  function self.unread(process)
    local id <const> = process.reading
    process.reading = nil
    local entry <const> = requests[id]
    if entry and entry.server == process then finish(id, nil, NO_ROOM) end
  end

  --- The process no longer waits for what it called or received (its evaluation was abandoned).
  function self.cancel(process)
    process.receiving = nil
    if process.calling then drop_request(process.calling) end
  end

  function self.ended(process)
    self.cancel(process)
    for id in pairs(process.serving) do finish(id, nil, "dead") end
    local mailbox <const> = process.mailbox
    process.mailbox = nil
    for place = mailbox.first, mailbox.last do
      local letter <const> = mailbox[place]
      if letter then
        count_letter(mailbox, letter, -1)
        refuse(letter[5])
      end
    end
  end

  return self
end

return ipc
