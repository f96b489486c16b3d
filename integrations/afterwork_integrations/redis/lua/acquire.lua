-- id, ttl, and the lock, if any
local id, ttl, lock = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local run = load(id)
if not run or not live(run) then return {'', 0, 0} end

if lock and run.lock ~= lock then
  for _, place in ipairs({'locks', 'waiting'}) do
    local other = living(place, lock, id)
    if other then return {other.id, 0, 0} end
  end
  if run.waits then redis.call('HDEL', key('waiting'), run.waits) end
  if run.lock then redis.call('HDEL', key('locks'), run.lock) end
  unset(run, 'waits', 'stop')
  redis.call('HSET', key('locks'), lock, id)
  set(run, 'lock', lock, 'token', redis.call('INCR', key('tokens')))
end
if run.state == 'claimed' then
  become(run, 'running')
  set(run, 'started_at', stamp(now))
end
keep_alive(run, ttl)
return {id, 1, lock and tonumber(run.token) or 0}
