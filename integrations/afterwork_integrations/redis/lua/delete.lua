-- key
local there = kept('notes', ARGV[1])
redis.call('HDEL', key('notes'), ARGV[1])
redis.call('ZREM', key('notes-names'), ARGV[1])
redis.call('ZREM', key('notes-until'), ARGV[1])
return there and 1 or 0
