-- The help of the commands and the topics, as data: what help() shows and what the reference documents are made from.
--
-- entries: {name, group, usage, summary (one row), description, example (rows to type at the prompt), and where they
-- apply topic = true (no name of the environment), rare = true (help() leaves it to help "all"), arranged = true (the
-- rows of the description stand as they are)}. Only what exists is described; a test runs every example.

local help_texts <const> = {}

help_texts.groups = { "Objects", "Programs", "Processes", "Shell" }

help_texts.entries = {
  {
    name = "root", group = "Objects", usage = "root", summary = "the table whose contents stay on disk",
    description = [[
A plain table. Whatever can be reached from it is kept by commit(): tables with sharing and cycles, strings of any
bytes, integers, floats, booleans. Assign its fields; root itself is always the same table.]],
    example = [[
root.ship = {name = "Argo", fuel = 7, crew = {"Jason", "Orpheus"}}
root.crew = root.ship.crew
root.crew == root.ship.crew]],
  },
  {
    name = "commit", group = "Objects", usage = "commit(message)",
    summary = "make all changes durable: all of them or none",
    description = [[
Writes the objects that changed since the last commit as one transaction and returns it. Once it returns, the changes
survive a power cut. The message is optional. What cannot be saved is named by its path, and nothing is written.]],
    example = [[
root.visits = (root.visits or 0) + 1
commit "one more visit"]],
  },
  {
    name = "changes", group = "Objects", usage = "changes()", summary = "what the next commit would write",
    description = [[
A list of {kind, path, old, new}; kind is "+" (new), "~" (changed) or "-" (gone).]],
    example = [[
root.fuel = 5
changes()
#changes()]],
  },
  {
    name = "abort", group = "Objects", usage = "abort()", summary = "forget all changes since the last commit",
    description = [[
Puts the contents of every object back in place: tables you hold are the same tables, with their old contents.]],
    example = [[
root.mistake = true
abort()
root.mistake]],
  },
  {
    name = "save", rare = true, group = "Objects", usage = "save(name, value)", summary = "root[name] = value, committed",
    description = [[Sets one name of root and commits. The global `load` stays Lua's compiler.]],
    example = [[
save("colour", "blue")]],
  },
  {
    name = "fetch", rare = true, group = "Objects", usage = "fetch(name)", summary = "the value saved under a name",
    description = [[The value of root[name]; nil when there is none.]],
    example = [[
save("colour", "blue")
fetch "colour"]],
  },
  {
    name = "map", rare = true, group = "Objects", usage = "map()", summary = "an ordered map, as large as the disk",
    description = [[
A new map, empty. m:get(key), m:set(key, value), m:remove(key); m:range(from, to, {limit = n, reverse = true}) for loops in
key order, both ends included, nil for an open end; pairs(m), m:first(), m:last(), m:count() or #m, m:clear(). Keys are
booleans, numbers and strings and come in this order: false, true, integers, floats, strings by their bytes; 1.0 is 1.
Values are whatever can be saved. Only the parts of a map that are needed are read and kept in memory. Changes of
different keys by two processes are merged. A loop meets what is set ahead of it and not what is removed ahead of it.]],
    example = [[
root.people = map()
root.people:set("ann", {age = 31})
root.people:set("bob", {age = 7})
root.people:get("ann").age
for name, one in root.people:range("a", "c") do print(name, one.age) end
root.people]],
  },
  {
    name = "at", group = "Objects", usage = "at(transaction)", summary = "root as it was after a transaction",
    description = [[
The root of another time: after a transaction, given by its id or as what commit() or log() gave, or in a snapshot, given by
its name. It can be read while everything goes on; what is changed in it goes nowhere. Its tables can be put under root:
that makes copies. Transactions answer as long as there is room for them (see keep); then it says "no longer kept".]],
    example = [[
root.ship = {name = "Argo", fuel = 7}
t = commit()
root.ship.fuel = 5
commit()
at(t).ship.fuel, root.ship.fuel]],
  },
  {
    name = "undo", group = "Objects", usage = "undo(transaction)", summary = "take one transaction back, by a new one",
    description = [[
What that transaction changed becomes as it was before; later changes of other things stay. If something was changed again
since, it says what, and nothing happens. Undo what undo() returned to have it back. Changes that are not committed come
first: commit() or abort() them.]],
    example = [[
root.colour = "blue"
t = commit "paint"
root.other = 1
commit()
undo(t)
root.colour, root.other]],
  },
  {
    name = "snapshot", rare = true, group = "Objects", usage = "snapshot(name)", summary = "keep what is committed now, under a name",
    description = [[
It costs nothing now, and later the room of what changes; it stays until delete_snapshot(name). at(name) reads it.]],
    example = [[
root.n = 1
commit()
snapshot "one"
root.n = 2
commit()
at("one").n, root.n]],
  },
  {
    name = "snapshots", rare = true, group = "Objects", usage = "snapshots()", summary = "the snapshots, oldest first",
    description = [[A list of {name, transaction, time, objects, bytes}.]],
    example = [[snapshots()]],
  },
  {
    name = "delete_snapshot", rare = true, group = "Objects", usage = "delete_snapshot(name)",
    summary = "let a snapshot go", description = [[The room that only it needed becomes free.]],
    example = [[
snapshot "short"
delete_snapshot "short"
#snapshots()]],
  },
  {
    name = "keep", rare = true, group = "Objects", usage = "keep(count)", summary = "how many transactions at() answers for",
    description = [[
The last so many; keep() for as many as there is room for, which is how it begins. When room is needed the oldest go first.]],
    example = [[keep(1000)]],
  },
  {
    name = "gc", rare = true, group = "Objects", usage = "gc()", summary = "remove what root does not lead to any more",
    description = [[
It happens by itself, in small steps, when room gets short and while nothing else is asked of the disk. Snapshots keep
what they hold; transactions of before may be kept no longer.]],
    example = [[
root.rubbish = {1, 2, 3}
commit()
root.rubbish = nil
commit()
gc()]],
  },
  {
    name = "register", rare = true, group = "Objects", usage = "register(name, value)",
    summary = "save a table or function by its name",
    description = [[
What is registered is not saved itself: what refers to it is saved with the name, and finds there what is registered under that
name then. So classes that come with a program stay the program's. A class may have an integer __version; objects saved with an
earlier one are given to its __migrate(object, version) when they are read, and what that changes is a change like any other.]],
    example = [[
Ship = {__version = 2}
function Ship.__migrate(ship, version) ship.fuel = ship.fuel or 7 end
register("Ship", Ship)
root.ship = setmetatable({name = "Argo"}, Ship)
commit()]],
  },
  {
    name = "values", rare = true, group = "Objects", usage = "help \"values\"", summary = "what can be saved", topic = true,
    description = [[
Tables with any keys, sharing and cycles, with their metatables; strings of any bytes and length, integers, floats, booleans;
functions, as the source text they were compiled from, with their upvalues, which functions may share; maps made by map(). By their
names: what Lua and the system provide, and what is registered.

Not saved, by path and before anything is written: coroutines, userdata such as endpoints and blocks of memory, functions in C that
have no name, and weak tables, whose contents can vanish at any moment. A __gc is saved like any field and runs for a table in
memory when Lua collects that, be the object still in the store or not; it must not put the table anywhere again.]],
    example = [[
count = load "local n = 0 return function() n = n + 1 return n end"()
root.count = count
root.count()
commit()
root.weak = setmetatable({}, {__mode = "k"})
pcall(commit)
abort()]],
  },
  {
    name = "log", group = "Objects", usage = "log(count)", summary = "the transactions, oldest first",
    description = [[A list of {id, time, message, objects, bytes}; only the last ones when a count is given.]],
    example = [[
log()
#log()]],
  },
  {
    name = "info", rare = true, group = "Objects", usage = "info()", summary = "sizes and counts of the store",
    description = [[A table of what the store knows about itself.]],
    example = [[info()]],
  },
  {
    name = "refresh", rare = true, group = "Objects", usage = "refresh()",
    summary = "take over what others have committed",
    description = [[
Brings every object to what the store holds now. Your own changes stay; where both changed the same, it fails and says
where.]],
    example = [[refresh()]],
  },
  {
    name = "forget", rare = true, group = "Objects", usage = "forget(table)", summary = "free the memory of an object",
    description = [[
The contents of a table that has no changes are dropped and read again when they are next needed. The table stays the
same table.]],
    example = [[
root.crew = {"Jason"}
commit()
forget(root.crew)
root.crew[1] ]],
  },
  {
    name = "run", group = "Programs", usage = "run(program, ...)", summary = "run a program: run \"clock\"; Ctrl-C ends it",
    description = [[
Takes a name, looked for in root.programs and then among the programs that come with Khoros, or a program or function itself. It
runs as a process of its own, with the keys and the screen, root and commit; what follows is what it is called with. Ctrl-C ends it,
Ctrl-Z leaves it running behind the prompt: then it is a job, see "jobs". Returns what the program returns. What it has committed is
there afterwards.]],
    example = [[
run("notes", "add buy milk")
run("notes", "list")]],
  },
  {
    name = "start", group = "Programs", usage = "start(program, ...)", summary = "the same behind the prompt, as a job",
    description = [[
Like run, but you go on typing. What the job prints is kept, and shown by output(job); what it wants to read waits until front(job)
brings it here. Returns the job; its end is told before the next prompt.]],
    example = [[
job = start("notes", "list")
wait(job)
output(job)]],
  },
  {
    name = "jobs", group = "Programs", usage = "jobs()", summary = "what runs behind the prompt: front(n), output(n)",
    description = [[
A list of {id, name, state, note}, one a row when shown; note is the last row that it printed. kill(job) and wait(job) take a job too,
or its number.]],
    example = [[jobs()]],
  },
  {
    name = "front", rare = true, group = "Programs", usage = "front(job)", summary = "bring a job here: keys and screen are its",
    description = [[What it printed meanwhile comes first. Ctrl-Z puts it behind again, Ctrl-C ends it.]],
    example = [[
job = start("notes", "list")
front(job)]],
  },
  {
    name = "output", rare = true, group = "Programs", usage = "output(job)", summary = "what a job has printed behind the prompt",
    description = [[A string: the last 64 KiB, of the last 16 jobs. Once the job has been brought to the front it was shown there and is empty.]],
    example = [[
job = start("notes", "list")
wait(job)
#output(job) > 0]],
  },
  {
    name = "programs", group = "Programs", usage = "programs()", summary = "the programs there are",
    description = [[
Those in root.programs and those that come with Khoros: a clock, notes, a game. Each is Lua text to read and to change: edit "clock".]],
    example = [[programs()]],
  },
  {
    name = "edit", group = "Programs", usage = "edit(name)", summary = "write and change a program, full screen",
    description = [[
edit "clock" changes root.programs.clock, or makes it, beginning with the text that comes with Khoros if there is one of that name;
edit "root.ship.log" changes a string in any object. Ctrl-S saves, and commits unless other changes wait that are not its own;
Ctrl-R saves and runs; Ctrl-O takes what is stored again; Ctrl-F finds, Ctrl-G goes to a row; Ctrl-K cuts rows, Ctrl-Y puts them
back; Ctrl-Z takes a change back; Ctrl-Q leaves.]],
  },
  {
    name = "install", rare = true, group = "Programs", usage = "install(name)", summary = "copy programs to root.programs",
    description = [[
install "clock" copies one program that comes with Khoros, install() all of them, unless root.programs has something of that name.
Then root.programs.clock() runs it, and it is there after a reboot once you commit().]],
    example = [[
install "notes"
root.programs.notes "list"]],
  },
  {
    name = "program", rare = true, group = "Programs", usage = "program(text, name)", summary = "a program made of Lua text",
    description = [[A table {name, text} that runs when it is called. Put it under root.programs to run it by its name.]],
    example = [[
root.programs = root.programs or {}
root.programs.hello = program("-- hello: says it\nprint 'hello'", "hello")
root.programs.hello()
root.programs.hello.text]],
  },
  {
    name = "terminal", rare = true, group = "Programs", usage = "help \"terminal\"", summary = "keys and screen, for programs", topic = true,
    arranged = true,
    description = [[
A program that is run has a table terminal:
terminal.key(seconds)     the next key: "a", "up", "ctrl-s"; nil when time is over
terminal.line(prompt)     a line, with the line editor; nil after Ctrl-D
terminal.write(...)       without a line end of its own
terminal.move(row, column)   from 1, 1
terminal.clear()          the screen; terminal.scroll_away() first keeps it
terminal.size()           columns, rows
terminal.cursor(visible)  shows or hides it
Ctrl-C ends the program at key() and line(), unless terminal.takes_interrupt
is true; then it is the key "ctrl-c".]],
    example = [[
run(function() print(terminal.key(0), terminal.size()) end)]],
  },
  {
    name = "autorun", rare = true, group = "Programs", usage = "root.autorun", summary = "what runs when the machine has started", topic = true,
    description = [[
Lua text, a program or a function in root.autorun is run as if it were typed, once it is committed. Ctrl-C ends it. A safe start
passes it over: hold Shift while GRUB starts and choose it, or ./khoros run --safe; the store is read-only then.]],
    example = [[
root.autorun = 'print "good morning"'
root.autorun = nil]],
  },
  {
    name = "services", rare = true, group = "Processes", usage = "services()", summary = "the services, and whose code was replaced",
    description = [[
A list of {id, name, state, lives, module, replaced}. The console drives screen, keys and serial line, the disk service the store; the
shell is what you talk to. kill(id) starts one again.]],
    example = [[services()]],
  },
  {
    name = "source", rare = true, group = "Processes", usage = "source(name, module)", summary = "the Lua text of a service or module",
    description = [[
source "console" is the main text of that service as it runs now, source("console", "drivers.vga") that of a module in it, and
source "kernel.scheduler" any module as it came with the system.]],
    example = [[
#source "console" > 1000
source("kernel.scheduler"):match "[^\n]*"]],
  },
  {
    name = "replace", rare = true, group = "Processes", usage = "replace(service, text, module)",
    summary = "run other code as a service, at once",
    description = [[
The service ends and starts again with that text, or program, in place of its main module or of the module named. If the new code
ends within its first seconds or answers nothing, the code before is back. A new console asks you through itself whether it works; a new
shell wants accept "shell" within a minute. What works is put into root.services: commit() keeps it over reboots. A safe start
runs what came with the system.]],
    example = [[
root.programs = root.programs or {}
root.programs.disk = program(source "disk", "disk")
replace("disk", root.programs.disk)
restore "disk"]],
  },
  {
    name = "restore", rare = true, group = "Processes", usage = "restore(service)", summary = "the code that came with the system again",
    description = [[At once, and out of root.services; commit() makes that last.]],
    example = [[restore "disk"]],
  },
  {
    name = "accept", rare = true, group = "Processes", usage = "accept(service)", summary = "keep new code that is on trial",
    description = [[
For a shell that was replaced: it is you who sees whether it works. Without it the code before is back after a minute.]],
  },
  {
    name = "spawn", group = "Processes", usage = "spawn(program, options)", summary = "start a process",
    description = [[
Runs a program, a function or Lua text, as a process with its own memory, next to everything else, and returns it: .id,
:kill(), :wait(). A function goes there as source with copies of its upvalues; globals are the other process's. Options:
name, memory (bytes, 16 MiB if not given), args (a list of what the program is called with), store = true (it gets root,
commit and the other commands: the same objects, a session of its own; what two processes change is merged, see "processes").]],
    example = [[
n = 41
do local n = n; p = spawn(function(more) return n + more end, {args = {1}}) end
wait(p)
wait(spawn "return 6 * 7")]],
  },
  {
    name = "ps", group = "Processes", usage = "ps()", summary = "the processes: memory, CPU time, state",
    description = [[A list of {id, name, state, memory, memory_limit, cpu_ns, mailbox}, one a row when shown.]],
    example = [[ps()]],
  },
  {
    name = "kill", group = "Processes", usage = "kill(process)", summary = "end a process, whatever it does",
    description = [[
Takes what spawn returned, or an id that ps() shows. Its memory is free at once. At the prompt also a service, such as the
driver of the disk: it is started again, and whoever was waiting for it gets an error.]],
    example = [[
p = spawn "while true do end"
kill(p)]],
  },
  {
    name = "wait", rare = true, group = "Processes", usage = "wait(process, seconds)", summary = "wait until a process has ended",
    description = [[
Returns "finished" and what the program returned (nothing, if that cannot be sent, as functions of C), "error" with the message, "killed", or "exit" with a status. After so
many seconds it gives up with an error; without a number it waits as long as it takes.]],
    example = [[
wait(spawn "return 6 * 7")]],
  },
  {
    name = "sleep", rare = true, group = "Processes", usage = "sleep(seconds)", summary = "do nothing for a while",
    description = [[Other processes run meanwhile. Fractions of a second are fine.]],
    example = [[sleep(0.01)]],
  },
  {
    name = "self", rare = true, group = "Processes", usage = "self()", summary = "the process that this runs in",
    description = [[What spawn returned of it to whoever started it: its .id, to be sent to another process, say.]],
    example = [[self().id]],
  },
  {
    name = "crashes", rare = true, group = "Processes", usage = "crashes()",
    summary = "what went wrong: panics and services that ended",
    description = [[
A list of {time, boot, kind, name, how, text}, oldest first; boot is 0 for this one, -1 for the one before, and text has
the traceback. It is kept in memory that reboot() and a reset leave alone, the last 16 of them; after a power-off it is
empty. crashes "forget" shows it once more and empties it.]],
    example = [[
crashes()
#crashes()]],
  },
  {
    name = "poweroff", group = "Shell", usage = "poweroff()", summary = "turn the machine off",
    description = [[
Changes that are not committed are lost: it says so the first time. poweroff "now" does not ask.]],
  },
  {
    name = "reboot", rare = true, group = "Shell", usage = "reboot()", summary = "start the machine again",
    description = [[
Changes that are not committed are lost: it says so the first time. reboot "now" does not ask.]],
  },
  {
    name = "help", group = "Shell", usage = "help(what)", summary = "this list; help \"name\", help(value)",
    description = [[Tells about a command, a topic or a Lua function, by name or by the function itself.]],
    example = [[
help "commit"
help(print)]],
  },
  {
    name = "show", rare = true, group = "Shell", usage = "show(value, options)", summary = "print a value with other limits",
    description = [[
Options, with what the prompt uses: depth = 5, length = 60 (entries of a table), total = 500 (entries in all),
string_length = 500, width = 79, quoted = false.]],
    example = [[
show({1, {2, {3, {4}}}}, {depth = 2})]],
  },
  {
    name = "shell.history", rare = true, group = "Shell", usage = "shell.history()",
    summary = "what was entered, oldest first",
    description = [[A list of strings. Up and down walk through it, Ctrl-R searches it.]],
    example = [[#shell.history()]],
  },
  {
    name = "shell.raw", rare = true, group = "Shell", usage = "shell.raw()",
    summary = "talk to a program instead of a person",
    description = [[
No echo, no prompt, exact results; for tools on the serial line. A request is Lua text ended by the byte 4. The answer
is a row of frames, each `KIND LENGTH`, a line end, LENGTH bytes and a line end: `o` printed output, `r` one result as a
Lua literal, `e` an error, and at last `x` with 0 (it ran) or 1 (it did not). Byte 3 forgets a request half sent, byte 2
leaves; so does shell.raw(false). The bytes ESC _ khoros:raw ESC \ at the prompt are the same as shell.raw().]],
  },
  {
    name = "keys", group = "Shell", usage = "help \"keys\"", summary = "the keys of the line editor", topic = true,
    arranged = true,
    description = [[
Left Right Home End       move; Ctrl-B Ctrl-F Ctrl-A Ctrl-E do the same
Alt-B Alt-F               a word left, right; so do Ctrl-Left and Ctrl-Right
Backspace Delete Ctrl-D   delete a character
Ctrl-K Ctrl-U             cut to the end, to the start of the row
Ctrl-W Alt-D              cut the word before, after
Ctrl-Y                    put back what was cut; Ctrl-T swaps two characters
Up Down Ctrl-P Ctrl-N     earlier and later entries; edits stay until Enter
Ctrl-R                    search the history; again: the next one
Tab                       complete a name; once more lists what fits
Alt-Enter                 a new row without running
Ctrl-C                    clear the line; while something runs: stop it
Ctrl-L                    clear the screen]],
  },
  {
    name = "processes", rare = true, group = "Processes", usage = "help \"processes\"", summary = "two processes and one root", topic = true,
    description = [[
A process sees the objects as they were when it last moved on: at its first look, by commit(), abort() or refresh(). What others
commit meanwhile it does not see. A commit merges: two processes may add different names to one table, and change different
fields of it. The same field changed differently is a conflict, named by its path, and nothing is written; the numbered
part of a table, 1, 2, 3 …, counts as one field. Then refresh() takes over the rest and keeps your change, abort() drops it.]],
    example = [[
p = spawn(function() root.theirs = 1; commit() end, {store = true})
root.mine = 2
wait(p)
commit()
root.mine, root.theirs]],
  },
  {
    name = "_", rare = true, group = "Shell", usage = "_", summary = "the last value shown",
    topic = true,
    description = [[An expression prints without `return`, and its (first) value is then called _ .]],
    example = [[
6 * 7
_ + 1]],
  },
}

return help_texts
