-- keep, ttl, reopen, number of keys, keys..., then names and values of the run's fields
local keep, ttl, reopen = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local last = 4 + tonumber(ARGV[4])
local new = {}
for i = last + 1, #ARGV, 2 do new[ARGV[i]] = ARGV[i + 1] end

-- The length makes it impossible that two pairs of job and key are written the same.
local function member(i)
  return #new.job .. ':' .. new.job .. ':' .. ARGV[i]
end

local function take_keys(run)
  local till = now + keep
  for i = 5, last do
    local owner = kept('keys', member(i))
    if not owner or owner == run.id then
      redis.call('HSET', key('keys'), member(i), run.id)
      redis.call('ZADD', key('keys-until'), stamp(till), member(i))
    end
  end
  if last > 4 and till > tonumber(run.keep_until or 0) then set(run, 'keep_until', stamp(till)) end
end

local found = nil
for i = 5, last do
  local owner = kept('keys', member(i))
  found = owner and load(owner) or nil
  if found then break end
end
found = found or load(new.id)

sweep('keys', 8)
if found then
  if dead(found) then abandon(found) end
  -- The same claim once more: its answer got lost on the way.
  local again = found.by == new.id and found.state == new.state
  if not again and reopen and REOPENABLE[found.state] then
    withdraw(found)
    redis.call('ZREM', key('aside'), found.id)
    become(found, 'claimed')
    unset(found, 'started_at', 'ended_at', 'duration', 'reason', 'error')
    set(found, 'attempt', math.max(found.attempt + 1, tonumber(new.attempt)), 'worker', new.worker,
        'trigger', new.trigger, 'by', new.id, 'claimed_at', stamp(now))
    keep_alive(found, ttl)
    take_keys(found)
    again = true
  end
  return {again and 1 or 0, flat(found)}
end

local job = key('job:' .. new.job)
set(new, 'by', new.id, 'claimed_at', stamp(now), unpack(flat(new)))
list(new, '')
list(new, new.state)
know(new.job)
take_keys(new)
if new.slot then
  local newest = redis.call('HGET', job, 'last_slot')
  if not newest or tonumber(newest) < tonumber(new.slot) then
    redis.call('HSET', job, 'last_slot', new.slot)
  end
end
if live(new) then
  keep_alive(new, ttl)
else
  set(new, 'ended_at', stamp(now))
  offer(new)
  count(new)
end
return {1, flat(new)}
