-- KEYS[2] who writes prices; ARGV[3] the writer. One that no longer is the writer writes nothing.
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
