-- The C library and Lua on it: numbers, text, errors, coroutines, time.
local core, check = ...

local text = string.format("%.17g|%5.2f|%e|%a|%d|%q", 1 / 3, math.pi, 1e300, 0.1, 1 << 40, "a\n")
check("format", text == '0.33333333333333331| 3.14|1.000000e+300|0x1.999999999999ap-4|1099511627776|"a\\\n"', text)
check("numbers", tonumber("0x1.8p3") == 12.0 and tonumber("1e308") == 1e308 and 7 // 2 == 3
    and math.tointeger(2.0^53) == 1 << 53 and tostring(-0.0) == "-0.0")
check("math", math.abs(math.sin(1)^2 + math.cos(1)^2 - 1) < 1e-15 and math.sqrt(2) == 2^0.5
    and math.abs(math.exp(math.log(10)) - 10) < 1e-14)
check("pack", string.unpack("<d", string.pack("<d", math.pi)) == math.pi)

local generator = coroutine.wrap(function(value)
    for _ = 1, 3 do value = value + coroutine.yield(value) end
    error({code = "done"})
end)
check("coroutine", generator(1) == 1 and generator(2) == 3 and generator(3) == 6)
local ok, err = pcall(generator, 4)
check("error value", not ok and err.code == "done")
ok, err = pcall(function() local ship; return ship.fuel end)
check("error message", not ok and err:find("attempt to index a nil value %(local 'ship'%)"), err)
ok, err = xpcall(function() error("deep") end, debug.traceback)
check("traceback", not ok and err:find("stack traceback:"), err)

local function forever(n) return 1 + forever(n + 1) end
ok, err = pcall(forever, 1)
check("deep recursion", not ok and err:find("stack overflow"), err)
local function through_c(s) return (string.gsub(s, "a", through_c)) end
ok, err = pcall(through_c, "a")
check("deep recursion in C", not ok and tostring(err):find("C stack overflow"), err)
ok, err = pcall(string.rep, "x", 1 << 40)
check("no memory is an error", not ok and err == "not enough memory", err)
check("and not the end", pcall(string.rep, "x", 1 << 20))

core.set_epoch(1700000000 * 1000000)
check("os.time", os.time() >= 1700000000 and os.time() < 1700000100, os.time())
check("os.date", os.date("!%Y-%m-%d %H", 1700000000) == "2023-11-14 22")
check("os.clock", os.clock() > 0 and os.clock() <= core.clock() / 1e9)
ok, err = io.open("nowhere")
check("no files", not ok and err == "nowhere: No such file or directory", err)
check("no shell", not os.execute("true"))
check("stdin is at its end", io.read() == nil)
