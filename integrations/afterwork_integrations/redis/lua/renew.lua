-- id, ttl
local run = load(ARGV[1])
if not run or not live(run) then return LEASE_LOST end
keep_alive(run, tonumber(ARGV[2]))
return run.stop or false
