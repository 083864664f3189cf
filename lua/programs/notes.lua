-- notes: things to do, kept on the disk
--
-- run "notes" asks for one command after the other, run("notes", "add buy milk") does one: list, add TEXT, done N, drop N,
-- find WORD, quit. A note is a table under root.notes:
-- {text =, made = seconds since 1970, done = boolean}; each change is a commit, so at(…) and undo(…) work on it.

local system <const> = require "system"

root.notes = root.notes or {}
local notes <const> = root.notes

local function keep(what)
  local done <const>, problem <const> = pcall(commit, "notes: " .. what)
  if not done then print("not kept: " .. tostring(problem)) end
end

local function show(number, note)
  print(("%3d %s %s"):format(number, note.done and "[x]" or "[ ]", note.text))
end

local function note_of(number)
  local note <const> = notes[math.tointeger(tonumber(number))]
  if not note then print("there is no note " .. tostring(number)) end
  return note
end

local commands <const> = {}

function commands.list()
  if #notes == 0 then print "nothing to do: add TEXT makes a note" end
  for number, note in ipairs(notes) do show(number, note) end
end

function commands.add(text)
  if text == "" then return print "add what?" end
  notes[#notes + 1] = {text = text, made = system.time() // 1000000, done = false}
  keep("add")
  show(#notes, notes[#notes])
end

function commands.done(number)
  local note <const> = note_of(number)
  if not note then return end
  note.done = true
  keep("done")
  show(tonumber(number), note)
end

function commands.drop(number)
  if not note_of(number) then return end
  table.remove(notes, math.tointeger(tonumber(number)))
  keep("drop")
  commands.list()
end

function commands.find(word)
  for number, note in ipairs(notes) do
    if note.text:lower():find(word:lower(), 1, true) then show(number, note) end
  end
end

-- → false when that was the last command
local function obey(row)
  local word <const>, rest <const> = row:match("^%s*(%S*)%s*(.-)%s*$")
  if word == "quit" or word == "q" then return false end
  if word == "" then return true end
  if commands[word] then commands[word](rest) else print "list, add TEXT, done N, drop N, find WORD, quit" end
  return true
end

local first <const> = ...
if first then
  obey(first)
else
  commands.list()
  repeat
    local row <const> = terminal.line "notes> "
  until not row or not obey(row)
end
