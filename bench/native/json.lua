-- Records that know no references, encoded or decoded: by the native host with the codec in C, by Lua 5.3 with cjson. In the
-- words that both know. Prints "RATE UNIT", in time of the CPU.
--
--     khoros-native json.lua encode|decode COUNT        lua5.3 json.lua encode|decode COUNT

local arguments = {...}
local native = type(arguments[1]) == "table" and table.remove(arguments, 1) or nil
local work, count = arguments[1], math.tointeger(tonumber(arguments[2]))
local encode, decode, clock

if native then
  local codec, names, links = native.codec, {}, {objects = {}, permanents = {}}
  encode = function(record) return codec.encode(record, names) end
  decode = function(text) return codec.decode(text, {}, links) end
  clock = function()
    local _, of_cpu = native.clock()
    return of_cpu / 1e9
  end
else
  local cjson = require "cjson"
  encode, decode, clock = cjson.encode, cjson.decode, os.clock
end

local records, texts = {}, {}
for id = 1, count do
  records[id] = {name = "object number " .. id, x = id * 0.5, count = id}
  texts[id] = encode(records[id])
end
local act, list = encode, records
if work == "decode" then act, list = decode, texts end
collectgarbage()
collectgarbage()
local before = clock()
for id = 1, count do assert(act(list[id])) end
print(("%.6g tables/s"):format(count / (clock() - before)))
