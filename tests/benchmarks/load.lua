-- For wrk: sends the requests listed in a file, one path a line, in random order, and says in one line of JSON what came
-- of it. Arguments: the file, a seed, and a value for the Authorization header or "".

local ready = {}

function init(arguments)
    local authorization = arguments[3]
    if authorization ~= nil and authorization ~= "" then
        wrk.headers["Authorization"] = authorization
    end
    for path in io.lines(arguments[1]) do
        ready[#ready + 1] = wrk.format("GET", path)
    end
    math.randomseed(tonumber(arguments[2]))
end

function request()
    return ready[math.random(#ready)]
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
