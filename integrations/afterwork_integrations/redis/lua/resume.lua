-- job
local job = key('job:' .. ARGV[1])
local till = redis.call('HGET', job, 'pause_until')
local there = redis.call('HDEL', job, 'pause_since', 'pause_until', 'pause_note') > 0
return there and (not till or tonumber(till) > now) and 1 or 0
