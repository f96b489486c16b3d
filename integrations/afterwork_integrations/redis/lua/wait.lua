-- id, lock
local run, lock = load(ARGV[1]), ARGV[2]
if not run or run.state ~= 'claimed' then return 0 end
if run.waits == lock then return 1 end

local other = living('waiting', lock)
if other then
  if other.slot and run.slot and tonumber(other.slot) > tonumber(run.slot) then
    close(run, 'skipped', {reason = NEWER_WAITS})
    return 0
  end
  close(other, 'skipped', {reason = NEWER_WAITS})
end
if run.waits then redis.call('HDEL', key('waiting'), run.waits) end
redis.call('HSET', key('waiting'), lock, run.id)
set(run, 'waits', lock)
return 1
