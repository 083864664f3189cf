-- Ctrl-R: incremental search backwards through the history.
--
--     typing   adds to what is looked for        Ctrl-R      the next older entry that matches
--     BS       takes the last character back     Ctrl-G, Ctrl-C   back to the line as it was
--     any other key takes the entry found and then does what it always does (Enter runs it)
-- Relies on: the editor that loads it, for the line, the history and drawing.

local cells <const> = require "shell.cells"

local search <const> = {}

local function find(state, history, before)
  if state.wanted == "" then return end
  local index, entry, at = history:find(state.wanted, before)
  state.failed = not index
  if index then state.index, state.entry, state.at = index, entry, at end
end

local function from_newest(state, history)
  state.index, state.entry, state.at, state.failed = nil, nil, nil, false
  find(state, history, math.huge)
end

local function show(state, editor)
  local label = state.failed and "(no match) '" or "(search) '"
  local text = state.entry or editor.line.text
  editor:draw(label .. cells.visible(state.wanted):gsub("%s", " ") .. "': ", text, state.at or #text + 1)
end

-- run(editor) → the key (name, text) that ended the search, for the editor to handle; nil when it was cancelled.
function search.run(editor)
  local history <const> = editor.history
  local state <const> = { wanted = "", index = nil, entry = nil, at = nil, failed = false }
  while true do
    show(state, editor)
    local name, text = editor:next_key()
    if name == "text" then
      state.wanted = state.wanted .. text
      find(state, history, state.index and state.index + 1 or math.huge)
    elseif name == "ctrl-r" then
      find(state, history, state.index or math.huge)
    elseif name == "backspace" then
      state.wanted = state.wanted:sub(1, cells.before(state.wanted, #state.wanted + 1) - 1)
      from_newest(state, history)
    elseif name == "ctrl-g" or name == "ctrl-c" then
      return nil
    else
      if state.entry then
        history.position = state.index
        editor.line:set(state.entry, state.at)
      end
      if name == "escape" then return nil end
      return name, text
    end
  end
end

return search
