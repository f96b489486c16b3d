-- lock, reason
local holder = living('locks', ARGV[1])
if not holder then return 0 end
set(holder, 'stop', ARGV[2])
return 1
