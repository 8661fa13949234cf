-- What scripts find beside the language: the functions that LuaJIT has and this Lua has not, those that are bounded, and
-- the ones that wait.

local text_of, is_over, paths = ...
local yield = coroutine.yield

-- Errors of handles are texts, as scripts expect. Who has run too long ends, whatever is caught.
local function as_text(ok, err, ...)
  if not ok then
    if type(err) == "userdata" then
      err = text_of(err)
    end
    if is_over() then
      error(err, 0)
    end
  end
  return ok, err, ...
end

local own_pcall, own_xpcall, own_resume = pcall, xpcall, coroutine.resume

function pcall(...)
  return as_text(own_pcall(...))
end

function xpcall(f, handler, ...)
  return as_text(own_xpcall(f, function(err)
    if type(err) == "userdata" then
      err = text_of(err)
    end
    if is_over() then
      return err
    end
    return handler(err)
  end, ...))
end

function coroutine.resume(...)
  return as_text(own_resume(...))
end

-- Code is text: nobody checks compiled code.
local own_load = load

function load(chunk, name, _, ...)
  if select("#", ...) > 0 then
    return own_load(chunk, name, "t", (...))
  end
  return own_load(chunk, name, "t")
end

loadstring = load

local function not_there(name)
  return function()
    error(name .. " is not there: scripts cannot reach files and programs", 2)
  end
end

local own_os = os
os = { clock = own_os.clock, date = own_os.date, difftime = own_os.difftime, getenv = own_os.getenv, time = own_os.time }
for _, name in ipairs({ "execute", "exit", "remove", "rename", "setlocale", "tmpname" }) do
  os[name] = not_there("os." .. name)
end
io, debug = {}, {}
for _, name in ipairs({ "close", "input", "lines", "open", "output", "popen", "read", "tmpfile", "type", "write" }) do
  io[name] = not_there("io." .. name)
end
for _, name in ipairs({ "getinfo", "getlocal", "gethook", "sethook", "getregistry", "setmetatable", "traceback" }) do
  debug[name] = not_there("debug." .. name)
end
dofile, loadfile = not_there("dofile"), not_there("loadfile")
package.loaded.os, package.loaded.io, package.loaded.debug = os, io, debug
package.loadlib, package.cpath = nil, ""
package.path = "./?.lua;/usr/local/share/luajit-2.1/?.lua;/usr/local/share/lua/5.1/?.lua;/usr/local/share/lua/5.1/?/init.lua"
if paths ~= "" then
  package.path = paths .. ";" .. package.path
end

unpack = table.unpack
math.pow = math.pow or function(x, y)
  return x ^ y
end
math.log10 = math.log10 or function(x)
  return math.log(x, 10)
end

function table.getn(list)
  return #list
end

function table.maxn(list)
  local most = 0
  for key in pairs(list) do
    if type(key) == "number" and key > most then
      most = key
    end
  end
  return most
end

function gcinfo()
  return collectgarbage("count")
end

-- Whole numbers are asked for with any number.
local own_format = string.format

local function whole(value)
  local number = tonumber(value)
  if not number or number % 1 == 0 or number ~= number then
    return value
  end
  return number < 0 and math.ceil(number) or math.floor(number)
end

function string.format(format, ...)
  if type(format) ~= "string" or not format:find("%%[^%%]*[cdiouxX]") then
    return own_format(format, ...)
  end
  local values, index = table.pack(...), 0
  for kind in format:gsub("%%%%", ""):gmatch("%%[-+ #0]*%d*%.?%d*(%a)") do
    index = index + 1
    if ("cdiouxX"):find(kind, 1, true) then
      values[index] = whole(values[index])
    end
  end
  return own_format(format, table.unpack(values, 1, math.max(values.n, index)))
end

-- Numbers of 32 bits with a sign.
local b = bit32

local function signed(value)
  value = b.band(value)
  return value >= 0x80000000 and value - 0x100000000 or value
end

bit = {
  tobit = signed,
  bnot = function(x)
    return signed(b.bnot(x))
  end,
  lshift = function(x, n)
    return signed(b.lshift(x, b.band(n, 31)))
  end,
  rshift = function(x, n)
    return signed(b.rshift(x, b.band(n, 31)))
  end,
  arshift = function(x, n)
    return signed(b.arshift(x, b.band(n, 31)))
  end,
  rol = function(x, n)
    return signed(b.lrotate(x, n))
  end,
  ror = function(x, n)
    return signed(b.rrotate(x, n))
  end,
  bswap = function(x)
    local function byte(at)
      return b.extract(x, at, 8)
    end
    return signed(byte(24) + byte(16) * 0x100 + byte(8) * 0x10000 + byte(0) * 0x1000000)
  end,
  tohex = function(x, digits)
    digits = digits or 8
    local letters = own_format(digits < 0 and "%08X" or "%08x", b.band(x))
    return letters:sub(-math.min(math.abs(digits), 8))
  end,
}
for _, name in ipairs({ "band", "bor", "bxor" }) do
  local own = b[name]
  bit[name] = function(...)
    return signed(own(...))
  end
end
bit32 = nil
package.loaded.bit, package.loaded.bit32 = bit, nil

EnvoyTimestampResolution = { MILLISECOND = 0, MICROSECOND = 1 }

-- What waits: a handle says whether it has to be waited for; who goes on brings the values.
local waits = {}

function waits.body(handle, ...)
  local known, value = handle:beginBody(...)
  if not known then
    return yield()
  elseif value ~= nil then
    return value
  end
end

function waits.trailers(handle)
  local known, value = handle:beginTrailers()
  if not known then
    return yield()
  elseif value ~= nil then
    return value
  end
end

function waits.bodyChunks(handle)
  handle:beginChunks()
  return function()
    if handle:beginChunk() then
      return yield()
    end
  end
end

function waits.httpCall(handle, ...)
  if handle:beginCall(...) then
    return yield()
  end
end

function waits.respond(handle, ...)
  handle:beginResponse(...)
  return yield()
end

return waits
