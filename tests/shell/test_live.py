"""Code put in place of a service's (lua/shell/live.lua), with a supervisor that is played: what stays under root.services."""

from tests.shell.terminal import new_lua

PLAYED = b"""
local root, failure, kept = {}, ...
local running = kept
local live = require("shell.live").commands {
  root = function() return root end, print = function() end, text_of = function(text) return text end, ask = function() return "y" end,
  system = {
    sleep = function() end,
    source = function(module) return running end,
    replace = function(_, _, _, text)
      if failure then running = kept else running = text end
      return true
    end,
    services = function()
      return {{name = "disk", module = "services.disk", failure = running == kept and failure or nil,
               replaced = running and {"services.disk"} or {}}}
    end,
  },
}
if kept or failure then root.services = {disk = {["services.disk"] = "what was on trial"}} end
local done, why = pcall(live.replace, "disk", "new")
return done, why, root.services and root.services.disk and root.services.disk["services.disk"]
"""


def test_new_code_that_answers_is_under_root() -> None:
    assert new_lua().execute(PLAYED) == (True, None, b"new")


def test_what_was_taken_back_is_not_left_under_root() -> None:
    """Not what failed, and not an earlier replacement that was on trial with it."""
    gone = b"disk: the code before runs again: it ended"
    assert new_lua().execute(PLAYED, b"it ended") == (False, gone, None)
    assert new_lua().execute(PLAYED, b"it ended", b"accepted before") == (False, gone, b"accepted before")
