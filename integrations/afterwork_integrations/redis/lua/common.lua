-- What all scripts have in common. Each is this file and then its own.
--
-- 1. A script is the atomic step. Redis runs one at a time. A server that is full, or a replica,
--    refuses it at its first write, so none stops half-way.
-- 2. The clock is the server's, read once.
-- 3. No key has a time to live. What expires has its time in a sorted set, and counts by that, so a
--    server that evicts "volatile" keys evicts none of ours; `sweep` and `prune` delete.
-- 4. All keys begin with KEYS[1], "afterwork:{namespace}", so on a cluster they are on one node.
--
-- run:<id>             hash    one run: the fields of RunRecord that are not None, and
--                              by (who claimed it), lock, waits, token, stop, keep_until
-- runs:<state>         zset    ids in their order; without a state: all
-- job-runs:<state>:<j> zset    the same of one job
-- over:<job>           zset    ids of the job's runs that are over and may be pruned
-- alive, ended         zset    ids by alive_until and by ended_at
-- aside                zset    ids that cannot be pruned before that time: a key stands for them
-- keys, keys-until     hash, zset    key of a claim -> id, and when it ends
-- locks, waiting       hash    lock -> id
-- tokens               number  the last fencing token
-- jobs                 hash    name -> registered_at
-- job:<name>           hash    what JobState holds, `last_run` as JSON
-- notes, notes-until, notes-names    hash, zset, zset
-- schema               number

local prefix = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000

local LIVE = {claimed = true, running = true}
local REOPENABLE = {failed = true, timed_out = true, cancelled = true, abandoned = true}
local FAILURES = {failed = true, timed_out = true, abandoned = true}
local DIED = 'not renewed in time'
local NEWER_WAITS = 'a newer one waits'
local LEASE_LOST = 'lease lost'
local BATCH = 1000

local function key(name)
  return prefix .. ':' .. name
end

-- Lua's own conversion would keep 14 digits, which is a hundredth of a second.
local function stamp(seconds)
  return string.format('%.6f', seconds)
end

local function load(id)
  local flat = redis.call('HGETALL', key('run:' .. id))
  if #flat == 0 then return nil end
  local run = {}
  for i = 1, #flat, 2 do run[flat[i]] = flat[i + 1] end
  return run
end

local function flat(run)
  local pairs_of = {}
  for name, value in pairs(run) do
    pairs_of[#pairs_of + 1] = name
    pairs_of[#pairs_of + 1] = value
  end
  return pairs_of
end

local function set(run, ...)
  local pairs_of = {...}
  for i = 1, #pairs_of, 2 do run[pairs_of[i]] = pairs_of[i + 1] end
  redis.call('HSET', key('run:' .. run.id), ...)
end

local function unset(run, ...)
  for _, name in ipairs({...}) do run[name] = nil end
  redis.call('HDEL', key('run:' .. run.id), ...)
end

local function live(run)
  return LIVE[run.state] == true
end

local function dead(run)
  return live(run) and tonumber(run.alive_until) <= now
end

local function list(run, state)
  redis.call('ZADD', key('runs:' .. state), 0, run.id)
  redis.call('ZADD', key('job-runs:' .. state .. ':' .. run.job), 0, run.id)
end

local function unlist(run, state)
  redis.call('ZREM', key('runs:' .. state), run.id)
  redis.call('ZREM', key('job-runs:' .. state .. ':' .. run.job), run.id)
end

local function become(run, state)
  unlist(run, run.state)
  set(run, 'state', state)
  list(run, state)
end

local function keep_alive(run, ttl)
  set(run, 'alive_until', stamp(now + ttl))
  redis.call('ZADD', key('alive'), run.alive_until, run.id)
end

local function know(job)
  redis.call('HSETNX', key('jobs'), job, stamp(now))
end

local function count(run)
  local job = key('job:' .. run.job)
  know(run.job)
  redis.call('HINCRBY', job, 'count:' .. run.state, 1)
  if run.state == 'succeeded' then
    redis.call('HSET', job, 'last_success_at', run.ended_at, 'failures_in_a_row', 0)
  elseif FAILURES[run.state] then
    redis.call('HINCRBY', job, 'failures_in_a_row', 1)
  end
  if run.state ~= 'skipped' and run.state ~= 'missed' then
    redis.call('HSET', job, 'last_run', cjson.encode(run))
  end
end

-- Lets pruning have a run that is over.
local function offer(run)
  redis.call('ZADD', key('ended'), run.ended_at, run.id)
  redis.call('ZADD', key('over:' .. run.job), 0, run.id)
end

local function withdraw(run)
  redis.call('ZREM', key('ended'), run.id)
  redis.call('ZREM', key('over:' .. run.job), run.id)
end

-- The end of a live run, whose state and further fields are given.
local function close(run, state, fields)
  become(run, state)
  set(run, 'ended_at', stamp(now), unpack(flat(fields)))
  if run.lock then redis.call('HDEL', key('locks'), run.lock) end
  if run.waits then redis.call('HDEL', key('waiting'), run.waits) end
  unset(run, 'alive_until', 'lock', 'waits', 'token', 'stop')
  redis.call('ZREM', key('alive'), run.id)
  offer(run)
  count(run)
end

local function abandon(run)
  close(run, 'abandoned', {reason = DIED})
end

-- The run that has this place, if it lives and is not `me`. One that has died is abandoned.
local function living(place, lock, me)
  local id = redis.call('HGET', key(place), lock)
  if not id or id == me then return nil end
  local run = load(id)
  if dead(run) then
    abandon(run)
    return nil
  end
  return run
end

-- Deletes some of what no longer counts, so that it cannot pile up where nobody prunes.
local function sweep(name, limit)
  local gone = redis.call('ZRANGEBYSCORE', key(name .. '-until'), '-inf', stamp(now),
                          'LIMIT', 0, limit)
  for _, member in ipairs(gone) do
    redis.call('HDEL', key(name), member)
    redis.call('ZREM', key(name .. '-until'), member)
    if name == 'notes' then redis.call('ZREM', key('notes-names'), member) end
  end
end

-- What is kept under a name in `keys` or `notes` and still counts.
local function kept(name, member)
  local till = redis.call('ZSCORE', key(name .. '-until'), member)
  if till and tonumber(till) <= now then return false end
  return redis.call('HGET', key(name), member)
end
