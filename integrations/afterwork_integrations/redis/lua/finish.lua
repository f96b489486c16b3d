-- id, then names and values of the fields of its end; `state` and `attempt` are among them
local run, fields = load(ARGV[1]), {}
for i = 2, #ARGV, 2 do fields[ARGV[i]] = ARGV[i + 1] end
if not run or not live(run) or tonumber(run.attempt) > tonumber(fields.attempt) then return 0 end
close(run, fields.state, fields)
return 1
