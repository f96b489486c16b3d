-- id
local run = load(ARGV[1])
return run and flat(run) or false
