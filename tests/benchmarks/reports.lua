-- For wrk: conditional reports, each naming the version that the one before has made. Arguments: a file with a line
-- "path connector version" for each connector, and a seed, which is not used. They take turns, and there are many more
-- of them than connections, so that a connector's last report is answered before its next one is sent.

dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "load.lua") -- for what it says at the end

local BODY = '{"position":{"epoch":"run-1","received":{"0":%d,"1":%d,"2":%d},"completed":{"0":%d,"1":%d,"2":%d}},'
    .. '"interval_seconds":3600,"metrics":{"total_bytes":%d,"total_records":%d,"buffered_records":1518,'
    .. '"buffered_bytes":625416,"processing_latency_p99_micros":48211},"health":{"status":"Healthy"}}'
local connectors, turn, asked = {}, 0, false

function init(arguments)
    for path, number, version in io.open(arguments[1]):read("*a"):gmatch("(%S+) (%d+) (%d+)\n") do
        connectors[#connectors + 1] = { path = path, number = tonumber(number), version = tonumber(version) }
    end
    wrk.headers["Content-Type"] = "application/json"
end

function request()
    if not asked then -- wrk looks at a first one, and throws it away
        asked = true
        return wrk.format("GET", connectors[1].path)
    end
    turn = turn % #connectors + 1
    local connector = connectors[turn]
    local received = 1000 * (connector.version + 1) + connector.number
    local completed = received - 500
    wrk.headers["If-Match"] = '"' .. connector.version .. '"'
    connector.version = connector.version + 1
    return wrk.format("PUT", connector.path, nil, BODY:format(received, received + 7, received + 11,
        completed, completed, completed, 412 * received, 3 * received))
end
