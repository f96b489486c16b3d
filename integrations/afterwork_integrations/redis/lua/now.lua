return stamp(now)
