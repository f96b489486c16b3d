-- the version of the layout that we know
local version = tonumber(redis.call('GET', key('schema')) or ARGV[1])
if version <= tonumber(ARGV[1]) then redis.call('SET', key('schema'), ARGV[1]) end
return version
