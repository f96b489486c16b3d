local found = {stamp(now)}
local registered = redis.call('HGETALL', key('jobs'))
for i = 1, #registered, 2 do
  found[#found + 1] = {
    registered[i], registered[i + 1], redis.call('HGETALL', key('job:' .. registered[i]))
  }
end
return found
