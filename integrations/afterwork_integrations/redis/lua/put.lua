-- key, value, ttl or nothing, and whether only if nothing is kept there
sweep('notes', 8)
if ARGV[4] == '1' and kept('notes', ARGV[1]) then return 0 end
redis.call('HSET', key('notes'), ARGV[1], ARGV[2])
redis.call('ZADD', key('notes-names'), 0, ARGV[1])
if ARGV[3] == '' then
  redis.call('ZREM', key('notes-until'), ARGV[1])
else
  redis.call('ZADD', key('notes-until'), stamp(now + tonumber(ARGV[3])), ARGV[1])
end
return 1
