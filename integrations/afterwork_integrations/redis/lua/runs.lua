-- state or nothing, the id before which to begin or nothing, limit, and the job, if any
local name = 'runs:' .. ARGV[1]
if ARGV[4] then name = 'job-' .. name .. ':' .. ARGV[4] end
local first = ARGV[2] == '' and '+' or '(' .. ARGV[2]
local found = {}
for i, id in ipairs(redis.call('ZREVRANGEBYLEX', key(name), first, '-', 'LIMIT', 0, ARGV[3])) do
  found[i] = flat(load(id))
end
return found
