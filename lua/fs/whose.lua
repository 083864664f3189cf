-- whose(mine_is_base, theirs_is_base, equal) → "mine", "theirs" | "conflict": which side counts in a three-way merge of one thing.
-- Who changed it wins; both changing it to the same is fine.
-- Relies on: nothing.

return function(mine_is_base, theirs_is_base, equal)
  if mine_is_base then return "theirs" end
  return (theirs_is_base or equal) and "mine" or "conflict"
end
