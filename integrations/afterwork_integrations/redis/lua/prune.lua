-- age, keep
local before, keep = stamp(now - tonumber(ARGV[1])), tonumber(ARGV[2])
local EXAMINED = 20 * BATCH
local deleted, examined = 0, 0

sweep('keys', BATCH)
sweep('notes', BATCH)
-- Those whose keys no longer count are candidates again.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('aside'), '-inf', stamp(now),
                               'LIMIT', 0, BATCH)) do
  redis.call('ZREM', key('aside'), id)
  offer(load(id))
end

local function delete(ids)
  for _, id in ipairs(ids) do
    local run = load(id)
    withdraw(run)
    if tonumber(run.keep_until or 0) > now then
      -- Out of the way, so that the next call does not meet it again.
      redis.call('ZADD', key('aside'), run.keep_until, id)
    else
      unlist(run, '')
      unlist(run, run.state)
      redis.call('DEL', key('run:' .. id))
      deleted = deleted + 1
    end
  end
  examined = examined + #ids
  return #ids > 0 and deleted < BATCH and examined < EXAMINED
end

while delete(redis.call('ZRANGEBYSCORE', key('ended'), '-inf', '(' .. before,
                        'LIMIT', 0, BATCH)) do end
for _, job in ipairs(redis.call('HKEYS', key('jobs'))) do
  local function surplus()
    local over = key('over:' .. job)
    local number = math.min(redis.call('ZCARD', over) - keep, BATCH)
    return number > 0 and redis.call('ZRANGE', over, 0, number - 1) or {}
  end
  while deleted < BATCH and examined < EXAMINED and delete(surplus()) do end
end
return deleted
