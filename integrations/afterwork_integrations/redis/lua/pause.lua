-- job, seconds or nothing, and a note, if any
local job = key('job:' .. ARGV[1])
know(ARGV[1])
redis.call('HDEL', job, 'pause_until', 'pause_note')
redis.call('HSET', job, 'pause_since', stamp(now))
if ARGV[2] ~= '' then redis.call('HSET', job, 'pause_until', stamp(now + tonumber(ARGV[2]))) end
if ARGV[3] then redis.call('HSET', job, 'pause_note', ARGV[3]) end
