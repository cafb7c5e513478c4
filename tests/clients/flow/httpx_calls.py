"""httpx over HTTP/2 without TLS (prior knowledge) and over HTTP/1.1: httpx_calls.py URL"""

import sys

import httpx

CALL = {"jsonrpc": "2.0", "id": 1, "method": "sandboxEcho", "params": ["x"]}

for settings in ({"http1": False, "http2": True}, {}):
    with httpx.Client(**settings) as client:
        for _ in range(2):
            response = client.post(sys.argv[1], json=CALL)
            print(response.http_version, response.status_code, response.text.strip())
