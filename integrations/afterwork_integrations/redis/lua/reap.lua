local reaped = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('alive'), '-inf', stamp(now))) do
  local run = load(id)
  abandon(run)
  reaped[#reaped + 1] = flat(run)
end
return reaped
