"""The caches beside the gateway, each set up as well as it goes for POST: the key is the body."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

from servers import LOAD_CORE, MANY, PROXY_CORE, children_of, free_ports, worker_of

# nginx need not open a file for each request.
OPEN_FILES = "open_file_cache max=10000 inactive=1d; open_file_cache_valid 1h;"
# Below, it is cheaper for nginx to read the file and to send head and body at once (measured).
SENDFILE_FROM = 10_000
# What Varnish writes to its log for each request. The others write none.
VARNISH_LOG = (
    "Begin,End,Link,ReqStart,ReqMethod,ReqURL,ReqProtocol,ReqHeader,ReqUnset,ReqAcct,RespProtocol,"
    "RespStatus,RespReason,RespHeader,RespUnset,VCL_call,VCL_return,VCL_use,Hit,Timestamp,Length,"
    "Storage,Filters,SessOpen,SessClose"
)


def nginx_fixed(servers, text):
    """nginx that knows nothing but the answer: its port and its worker."""
    (port,) = free_ports(1)
    locations = servers.fixed("nginx-fixed", text)
    http = f"{OPEN_FILES} server {{ listen 127.0.0.1:{port} backlog=4096; {locations} }}"
    return nginx(servers, "nginx-fixed", port, http)


def nginx_cache(servers, backend, size, keep_open):
    """nginx with proxy_cache, its files in memory: its port and its worker."""
    (port,) = free_ports(1)
    files = memory_folder(servers)
    http = f"""
        proxy_cache_path {files} levels=1:2 keys_zone=answers:16m max_size=1g inactive=1d use_temp_path=off;
        {OPEN_FILES if keep_open else ""}
        upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests {MANY}; }}
        server {{
          listen 127.0.0.1:{port} backlog=4096;
          location / {{
            sendfile {"off" if size < SENDFILE_FROM else "on"};
            client_body_in_single_buffer on;
            client_body_buffer_size 64k;
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache answers;
            proxy_cache_methods POST;
            proxy_cache_key "$request_uri|$request_body";
            proxy_cache_valid 200 1d;
            add_header x-cache $upstream_cache_status;
          }}
        }}"""
    return nginx(servers, "nginx-cache-open" if keep_open else "nginx-cache", port, http)


def nginx(servers, name, port, http):
    folder = servers.place(name)
    servers.nginx(folder, http, PROXY_CORE, port)
    return port, worker_of(folder / "pid")


def memory_folder(servers):
    """A folder that is memory, where there is one."""
    memory = Path("/dev/shm")
    above = memory if os.access(memory, os.W_OK) else servers.folder
    folder = Path(tempfile.mkdtemp(prefix="perijove-bench-", dir=above))
    # For nginx' worker, which runs as somebody else if started by root.
    folder.chmod(0o777)
    servers.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def varnish(servers, backend):
    """Varnish with its memory store: its port and the process that serves."""
    (port,) = free_ports(1)
    folder = servers.place("varnish")
    vcl = folder / "cache.vcl"
    vcl.write_text(
        f"""vcl 4.1;
import std;
import bodyaccess;
backend origin {{ .host = "127.0.0.1"; .port = "{backend}"; }}
sub vcl_recv {{
  if (req.method != "POST") {{ return (synth(405)); }}
  # Also what keeps the body when Varnish turns the request into a GET for its backend.
  if (!std.cache_req_body(64KB)) {{ return (synth(413)); }}
  return (hash);
}}
sub vcl_hash {{ bodyaccess.hash_req_body(); }}
sub vcl_backend_fetch {{ set bereq.method = "POST"; }}
sub vcl_backend_response {{ set beresp.ttl = 1d; }}
sub vcl_deliver {{
  if (obj.hits > 0) {{ set resp.http.x-cache = "HIT"; }} else {{ set resp.http.x-cache = "MISS"; }}
}}
"""
    )
    unlogged = ",".join(f"-{tag}" for tag in VARNISH_LOG.split(","))
    command = ["varnishd", "-F", "-j", "none", "-n", folder / "state", "-a", f"127.0.0.1:{port}"]
    command += ["-f", vcl, "-T", "none", "-s", "malloc,256m"]
    # As many threads as there are connections and to spare: none comes or goes while measuring.
    threads = ["thread_pools=1", "thread_pool_min=200", "thread_pool_max=200"]
    for parameter in [*threads, "timeout_idle=300", f"vsl_mask={unlogged}"]:
        command += ["-p", parameter]
    process = servers.start_listening("varnish", PROXY_CORE, command, port)
    # The other process only watches this one.
    (serving,) = children_of(process.pid)
    return port, serving


def redis(servers, name="redis"):
    """A Redis that forgets everything at its end: its port and its process."""
    (port,) = free_ports(1)
    folder = servers.place(name)
    command = ["redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", folder]
    command += ["--save", "", "--appendonly", "no"]
    process = servers.start_listening("redis", LOAD_CORE, command, port)
    return port, process.pid


def redis_keys(port):
    """How many keys a Redis has."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"DBSIZE\r\n")
        return int(connection.makefile().readline().removeprefix(":"))
