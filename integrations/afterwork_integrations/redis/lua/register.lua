-- names of jobs
for _, job in ipairs(ARGV) do know(job) end
