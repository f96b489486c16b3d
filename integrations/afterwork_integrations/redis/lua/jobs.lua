-- the name of one job, or nothing for all
local found = {stamp(now)}
local registered
if ARGV[1] then
  local since = redis.call('HGET', key('jobs'), ARGV[1])
  registered = since and {ARGV[1], since} or {}
else
  registered = redis.call('HGETALL', key('jobs'))
end
for i = 1, #registered, 2 do
  found[#found + 1] = {
    registered[i], registered[i + 1], redis.call('HGETALL', key('job:' .. registered[i]))
  }
end
return found
