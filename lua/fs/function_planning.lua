-- What a commit writes of functions: the function itself, its chunk, its cells, each as an entry of its own.
-- Relies on: fs.functions, fs.function_forms, fs.plans, fs.encoding.

local function_forms <const> = require "fs.function_forms"
local layout <const> = require "fs.layout"
local refusals <const> = require "fs.refusals"
local value_encoder <const> = require "fs.value_encoder"

local type <const> = type

local function_planning = {}

local function plan_function(session, plan, id, f)
  local record <const> = session.functions.record(f)
  local form = {
    chunk = plan:part(record.chunk), number = record.number, dump_bytes = record.dump_bytes, dump_crc = record.dump_crc,
    release = _VERSION, cells = {},
  }
  plan.needed_by[record.chunk] = f
  for i, cell in ipairs(session.functions.cells_of(f)) do
    form.cells[i] = plan:part(cell)
  end
  local payload <const> = function_forms.encode_function(form)
  local base <const> = { kind = layout.KIND_FUNCTION, payload = payload, cells = form.cells }
  plan:begin(id, f)
  plan:object(layout.KIND_FUNCTION, payload, base)
  return true
end

local function plan_cell(session, plan, id, cell)
  local encoder <const> = session.encoder
  plan:begin(id, cell)
  encoder.begin(cell, plan)
  local payload <const> = function_forms.encode_cell(cell(), session.map.names, encoder.miss)
  if not payload then
    return nil, refusals.cannot_save(session, cell, nil, cell(), "upvalue")
  end
  plan:object(layout.KIND_CELL, payload, { kind = layout.KIND_CELL, payload = payload }, encoder.held())
  return true
end

-- A chunk never changes, so nothing is remembered of it but its id.
local function plan_chunk(session, plan, id, chunk)
  local encoder <const> = session.encoder
  plan:begin(id, plan.needed_by[chunk])
  encoder.begin(chunk, plan)
  local text <const> = value_encoder.value(chunk.text, session.map.names, encoder.miss)
  plan:write(id, layout.KIND_CHUNK, function_forms.encode_chunk(chunk.name, text), 0)
  return true
end

-- Adds the function, cell or chunk v to the plan. -> true | nil, err
function function_planning.add(session, plan, id, v)
  if type(v) == "table" then
    return plan_chunk(session, plan, id, v)
  elseif session.map.is_cell(v) then
    return plan_cell(session, plan, id, v)
  end
  return plan_function(session, plan, id, v)
end

return function_planning
