-- prefix
local first, last = '-', '+'
if ARGV[1] ~= '' then
  -- No UTF-8 text has the byte 255, so all that begin with the prefix are before it.
  first, last = '[' .. ARGV[1], '[' .. ARGV[1] .. '\255'
end
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYLEX', key('notes-names'), first, last)) do
  local value = kept('notes', name)
  if value then
    found[#found + 1] = name
    found[#found + 1] = value
  end
end
return found
