-- key
return kept('notes', ARGV[1])
